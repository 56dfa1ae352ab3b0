// Package clock keeps the machine's time: boards have no clock battery, and without the time no certificate can be checked.
//
// Three sources, each good for what the one before cannot do: the program's own age (nothing is older than it), the last
// time that the box knew (kept on the card, so that a box comes back from a power cut without internet at about the
// time when it was cut), and SNTP servers (RFC 5905), configured ones and the gateway.
//
// Answers of SNTP are not signed. So one server's word is never taken for a large change once the time is known, and no
// time before the program was built or a lifetime after it is taken at all. Run needs CAP_SYS_TIME; the daemon, which has
// not, keeps the last known time (Remember) and reads what Run knows from a file (State).
package clock

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// lifetime is how long after its build a program may believe to run.
const lifetime = 20 * 365 * 24 * time.Hour

// aLittle is how far a clock may go back without anybody's having been wrong.
const aLittle = time.Minute

// fileName of the last known time in the data folder: Unix seconds in decimal.
const fileName = "clock"

// Floor is the earliest time that it can be: the build or the last known time, whichever is later. dir is the data folder.
// A time that cannot be right is passed over.
func Floor(dir string, built time.Time) time.Time {
	last, err := remembered(dir)
	if err != nil || last.Before(built) || last.After(built.Add(lifetime)) {
		return built
	}
	return last
}

func remembered(dir string) (time.Time, error) {
	f, err := os.Open(filepath.Join(dir, fileName))
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	b := make([]byte, 32)
	n, err := f.Read(b)
	if err != nil {
		return time.Time{}, err
	}
	seconds, err := strconv.ParseInt(string(bytes.TrimSpace(b[:n])), 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(seconds, 0), nil
}

// Remember keeps a time on the card, for the next start. An earlier one than what is kept is not: a clock that is wrong
// must not take away what was known. Unless servers agree that it is the time (sure, see State.Sure): what is kept was wrong then,
// and would end certificates after each power cut until that time comes.
func Remember(dir string, now time.Time, sure bool) error {
	last, err := remembered(dir)
	if err == nil && !now.After(last) && !(sure && last.Sub(now) > aLittle) {
		return nil
	}
	path := filepath.Join(dir, fileName)
	f, err := os.CreateTemp(dir, fileName+".*")
	if err != nil {
		return fmt.Errorf("keep the time: %w", err)
	}
	_, err = fmt.Fprintln(f, now.Unix())
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("keep the time: %w", err)
	}
	return nil
}

// Setter changes the machine's clock.
type Setter interface {
	// Step sets it.
	Step(to time.Time) error
	// Slew moves it slowly by a little.
	Slew(by time.Duration) error
}

// Raise sets a clock that is behind the floor to it, and reports whether it was.
func Raise(now, floor time.Time, set Setter) (bool, error) {
	if !now.Before(floor) {
		return false, nil
	}
	if err := set.Step(floor); err != nil {
		return false, fmt.Errorf("set the clock to %s: %w", floor.UTC().Format(time.DateTime), err)
	}
	return true, nil
}
