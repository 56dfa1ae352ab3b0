package admin

import (
	"fmt"
	"html/template"
	"slices"

	"holdfast/firmware/control"
)

// modeWords are a mode in words: its name, what it means, and the tone that the page takes.
type modeWords struct{ Title, Means, Tone string }

var modeText = map[string]modeWords{
	"normal":     {"Normal", "The cloud answers. Phones are with the cloud, the box watches.", "good"},
	"resilience": {"Resilience", "The cloud does not answer. The box serves the phones.", "attention"},
	"drill":      {"Drill", "A rehearsal: the box serves the phones although the cloud answers.", "accent"},
	"recovering": {"Recovering", "The cloud is back. Phones go home, calls that are up run on.", "accent"},
}

// Mode is the box's mode in words.
func (v *view) Mode() modeWords { return wordsOf(v.Status.Mode.Name) }

func wordsOf(name string) modeWords {
	if w, ok := modeText[name]; ok {
		return w
	}
	return modeWords{name, "", "attention"}
}

// Title is a mode's name for people.
func (v *view) Title(mode string) string { return wordsOf(mode).Title }

// LastEvents are the last changes of mode, the newest first.
func (v *view) LastEvents() []control.ModeEvent {
	list := slices.Clone(v.Status.Events[max(0, len(v.Status.Events)-eventsShown):])
	slices.Reverse(list)
	return list
}

const eventsShown = 6

// sign is the mode's shape: a ring, a disc, a disc with a notch, half a disc; a triangle for an emergency.
func sign(mode string) template.HTML {
	const open = `<svg class="sign %s" viewBox="0 0 24 24" aria-hidden="true" focusable="false">%s</svg>`
	shape, tone := `<circle cx="12" cy="12" r="8.5" fill="none" stroke="currentColor" stroke-width="3.5"/>`, "good"
	switch mode {
	case "resilience":
		shape, tone = `<circle cx="12" cy="12" r="10" fill="currentColor"/>`, "attention"
	case "drill":
		shape, tone = `<path d="M12 12V2A10 10 0 1 0 22 12Z" fill="currentColor"/>`, "accent"
	case "recovering":
		shape, tone = `<circle cx="12" cy="12" r="8.75" fill="none" stroke="currentColor" stroke-width="2.5"/><path d="M12 3.25A8.75 8.75 0 0 1 12 20.75Z" fill="currentColor"/>`, "accent"
	case "emergency":
		shape, tone = `<path d="M12 2 23 21.5H1Z" fill="currentColor"/>`, "emergency"
	}
	return template.HTML(fmt.Sprintf(open, tone, shape))
}

// Task is something that a person should do.
type Task struct {
	Text, Link, Label string
	Urgent            bool
}

// Tasks are what must be done, the most urgent first; none on a good day.
func (v *view) Tasks() (list []Task) {
	for _, e := range v.Open() {
		if e.Acknowledged == "" && !e.Test {
			list = append(list, Task{e.Title + ": take note of the call", "/emergency", "Go there", true})
		}
	}
	for _, a := range v.Status.Alarms {
		list = append(list, Task{Text: a})
	}
	return list
}

// Banner is the emergency call that every page shows: the first real one that nobody took note of, else the first that runs.
func (v *view) Banner() *control.Emergency {
	var running *control.Emergency
	for i := range v.Status.Emergencies {
		e := &v.Status.Emergencies[i]
		if !e.Test && e.Acknowledged == "" {
			return e
		}
		if running == nil && e.State != "ended" {
			running = e
		}
	}
	return running
}

// Tab is the title of the browser's tab: what is most urgent.
func (v *view) Tab() string {
	if e := v.Banner(); e != nil {
		return "▲ " + e.Title
	}
	return v.Mode().Title
}

// StepWords says what a kind of step of an emergency call is.
func (v *view) StepWords(kind any) string {
	text := fmt.Sprint(kind)
	if w, ok := stepText[text]; ok {
		return w
	}
	return text
}

var stepText = map[string]string{
	"recognised": "Emergency number recognised", "invite": "Call sent to the trunk", "trunk-failed": "The trunk did not take it", "no-trunk": "No trunk took the call",
	"security-desk": "The security desk is rung", "answered": "Answered", "ended": "Call ended", "callback": "Somebody calls back", "callback-answered": "Callback answered",
	"callback-ended": "Callback ended", "alarm": "Alarm", "restart": "The box restarted", "notice-rung": "A front desk phone rings", "notice-seen": "Taken note of on the phone",
	"notice-message": "Text delivered to a phone", "notice-failed": "A notice did not arrive", "silenced": "Buzzer silenced", "acknowledged": "Acknowledged",
	"notice-over": "Notice of the test ended",
}
