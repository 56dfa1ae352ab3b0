package relay

import "testing"

// TestContinue: a phone goes over to another call in mid-stream and keeps its key; its sequence number has rolled over before.
func TestContinue(t *testing.T) {
	for _, wraps := range []string{"long ago", "on the way", "never"} {
		t.Run(wraps, func(t *testing.T) {
			r := run(t, config())
			first := newCall(t, r, "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM")
			first.set(t)
			first.a.sequence = map[string]uint16{"long ago": 65533, "on the way": 65531, "never": 4}[wraps]
			for range 4 {
				first.a.say(first.la, "here")
				first.b.hears("here")
			}
			first.session.Close()

			second := newCall(t, r, "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM")
			second.a = first.a
			second.la.Continue(first.la)
			second.set(t)
			for _, word := range []string{"and", "still", "there"} {
				second.a.say(second.la, word)
				second.b.hears(word)
			}
			// What the phone hears has numbers of its own: the key is the same, its key stream must not be.
			ssrc := second.b.ssrc
			second.b.say(second.lb, "back")
			if pkt := second.a.hears("back"); pkt.SSRC == ssrc {
				t.Error("the source's SSRC went through")
			}
		})
	}
}

// TestContinueWithAnotherKey: what the old leg knew is of no use, and does no harm.
func TestContinueWithAnotherKey(t *testing.T) {
	r := run(t, config())
	first := newCall(t, r, "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
	first.set(t)
	first.a.sequence = 65534
	for range 3 {
		first.a.say(first.la, "here")
		first.b.hears("here")
	}
	first.session.Close()
	second := newCall(t, r, "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
	second.a = first.a
	second.a.rekey("AES_CM_128_HMAC_SHA1_80")
	second.la.Continue(first.la)
	second.set(t)
	second.a.say(second.la, "anew")
	second.b.hears("anew")
}
