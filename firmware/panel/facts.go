// Package panel says what the box's lights and its buzzer show, and what a press of a button asks for. It is pure: it drives
// no light (hal does) and carries out no order (firmware/box does).
//
// Each state has a rhythm of its own on its light, so that nobody needs to see colours, and a light that is dark beside a
// power light that is not has a meaning too: no news.
package panel

import (
	"fmt"

	"holdfast/firmware/mode"
	"holdfast/hal"
)

// Phase is how far the program has come.
type Phase uint8

// The phases.
const (
	Starting    Phase = iota
	Running           // serving
	Unfit             // it runs, but its health gate does not hold
	BadSettings       // the boot file has faults; nothing is served
)

// Update is what is going on with the box's software.
type Update uint8

// The states of an update.
const (
	NoUpdate Update = iota
	Writing         // it is written to the other slot
	Waiting         // it is written; the restart waits for calls to end
	Trial           // it runs, and has not proven itself yet
)

// Facts is what the box knows.
type Facts struct {
	Phase  Phase
	Update Update
	Mode   mode.Mode

	Zones, ZonesUp, ZonesDown int // of the cloud; neither up nor down: not known yet
	Trunks, TrunksUp          int
	Users, UsersHere          int // of the site document; with a phone here
	Faults                    int // that a person should look at

	// What the notice of emergency calls asks for (firmware/notice).
	EmergencyLight, EmergencyBuzzer hal.Pattern
}

// Light is what one output shows, and what that stands for.
type Light struct {
	hal.Pattern
	Says string
}

// View is what all outputs show.
type View [hal.Outputs]Light

// first is the page that is always there.
func first(f Facts) (v View) {
	v[hal.Power] = power(f)
	if f.Phase == BadSettings {
		return v // of the rest nothing is known
	}
	v[hal.Cloud] = share(f.ZonesUp, f.Zones, "zone of the cloud answers", "zones of the cloud answer")
	if f.ZonesDown == 0 && f.ZonesUp == 0 {
		v[hal.Cloud] = Light{hal.Off, "the cloud has not been asked yet"}
	}
	v[hal.Service] = [...]Light{
		mode.Normal:     {hal.Off, "normal: the cloud serves the phones"},
		mode.Resilience: {hal.Steady, "resilience: this box serves the phones"},
		mode.Drill:      {hal.Double, "drill: this box serves the phones"},
		mode.Recovering: {hal.Slow, "recovering: phones go home to the cloud"},
	}[f.Mode]
	v[hal.Alarm], v[hal.Buzzer] = alarm(f), buzzer(f)
	return v
}

// second is the page that a short press of mode shows. Its power light is dark, which on the first page no running box has.
func second(f Facts) (v View) {
	v[hal.Power] = Light{hal.Off, "second page: trunks on the cloud light, phones on the service light"}
	v[hal.Cloud] = share(f.TrunksUp, f.Trunks, "trunk answers", "trunks answer")
	v[hal.Service] = share(f.UsersHere, f.Users, "user has a phone here", "users have a phone here")
	if f.UsersHere == 0 {
		v[hal.Service].Pattern = hal.Off // as it should be while the cloud is there
	}
	v[hal.Alarm], v[hal.Buzzer] = alarm(f), buzzer(f) // a call for help is never hidden
	return v
}

func power(f Facts) Light {
	switch {
	case f.Phase == BadSettings:
		return Light{hal.Fast, "the settings have faults: see holdfast-errors.txt beside holdfast.toml"}
	case f.Phase == Starting:
		return Light{hal.Slow, "starting, or no site document yet"}
	case f.Phase == Unfit:
		return Light{hal.Slow, "a part of the box does not answer"}
	case f.Update == Writing:
		return Light{hal.Double, "an update is being written"}
	case f.Update == Waiting:
		return Light{hal.Double, "an update waits for a quiet moment to restart"}
	case f.Update == Trial:
		return Light{hal.Double, "an update is on trial"}
	}
	return Light{hal.Steady, "running"}
}

func alarm(f Facts) Light {
	switch {
	case f.EmergencyLight == hal.Double:
		return Light{hal.Double, "a test of emergency calls"}
	case f.EmergencyLight != hal.Off:
		return Light{f.EmergencyLight, "somebody has called for help: see the front desk's phone"}
	case f.Faults > 0:
		return Light{hal.Slow, "there is something to do: see the status"}
	}
	return Light{hal.Off, "nothing to do"}
}

func buzzer(f Facts) Light {
	if f.EmergencyBuzzer == hal.Off {
		return Light{}
	}
	return Light{f.EmergencyBuzzer, "ack silences it"}
}

// share shows how much of something is there: all, some, nothing. Of nothing, nothing.
func share(there, of int, one, many string) Light {
	says := fmt.Sprintf("%d of %d %s", there, of, many)
	if of == 1 {
		says = fmt.Sprintf("%d of %d %s", there, of, one)
	}
	switch {
	case of == 0:
		return Light{hal.Off, says}
	case there >= of:
		return Light{hal.Steady, says}
	case there > 0:
		return Light{hal.Slow, says}
	}
	return Light{hal.Fast, says}
}
