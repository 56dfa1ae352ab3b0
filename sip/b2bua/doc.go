// Package b2bua is the call: two dialogs and one media session (a back-to-back user agent, RFC 7092 §3.2). It takes an
// INVITE from a phone or an SBC, asks sip/route where it goes, rings phones or a trunk, ties the answer to the caller,
// and ends both sides together.
//
// One goroutine owns each Call. Everything that happens to it arrives in its inbox as a typed input: responses,
// requests in its dialogs, timers, silence from the relay. The inputs that change a call's life run through one pure
// transition table (next in state.go); the actions it names are carried out in call.go. All ways of ending meet in
// Call.end, the only place where what a call holds is given back.
//
// It authenticates nobody (Options.Authenticate does), keeps no bindings (sip/registrar) and moves no packet: media is
// behind the Media interface, which firmware/box adapts to media/relay.
package b2bua
