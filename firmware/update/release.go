package update

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// slotFormat is how a slot is laid out; a card of another format is not written.
const slotFormat = 1

// Release names a version of the box's software, as /etc/holdfast-release does.
type Release struct {
	Version    string `json:"version"`
	Commit     string `json:"commit"`
	Board      string `json:"board"`
	SlotFormat int    `json:"slot_format"`
	Time       int64  `json:"time,omitempty"` // of the commit, Unix; 0: not known
}

// ParseRelease reads lines of KEY=value; others are passed over.
func ParseRelease(text []byte) (r Release, err error) {
	for l := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(l), "=")
		switch key {
		case "VERSION":
			r.Version = value
		case "COMMIT":
			r.Commit = value
		case "BOARD":
			r.Board = value
		case "SLOT_FORMAT":
			r.SlotFormat, _ = strconv.Atoi(value)
		case "TIME":
			r.Time, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	if r.Version == "" || r.Board == "" || r.SlotFormat == 0 {
		return r, fmt.Errorf("the release lacks VERSION, BOARD or SLOT_FORMAT")
	}
	return r, nil
}

// ErrRuns says that a version is the one that runs.
var ErrRuns = errors.New("runs already")

// newer says whether r comes after old; the error says why it must not be put in its place without force.
func (r Release) newer(old Release) error {
	order, known := compareVersions(r.Version, old.Version)
	if !known && r.Time > 0 && old.Time > 0 {
		order, known = int(max(-1, min(1, r.Time-old.Time))), true
	}
	switch {
	case r.Version == old.Version && r.Commit == old.Commit:
		return fmt.Errorf("version %s %w", r.Version, ErrRuns)
	case !known:
		return fmt.Errorf("whether %s is newer than %s cannot be told", r.Version, old.Version)
	case order <= 0:
		return fmt.Errorf("%s is not newer than %s, which runs", r.Version, old.Version)
	}
	return nil
}

// compareVersions orders what `git describe` says of tags v1.2.3: v1.2.3, v1.2.3-4-gabc (four commits later), -rc before it.
// Whether the work tree was dirty makes no difference. known is false when one of them is something else.
func compareVersions(a, b string) (order int, known bool) {
	x, okA := version(a)
	y, okB := version(b)
	if !okA || !okB {
		return 0, false
	}
	for i := range x {
		if x[i] != y[i] {
			return max(-1, min(1, x[i]-y[i])), true
		}
	}
	return 0, true
}

// version is major, minor, patch, rank of the release candidate, commits since.
func version(s string) (v [5]int, ok bool) {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "v"), "-dirty")
	if rest, _, found := cutLast(s, "-g"); found {
		if rest, n, found := cutLast(rest, "-"); found {
			if v[4], ok = number(n); !ok {
				return v, false
			}
			s = rest
		}
	}
	v[3] = 1 << 30 // a release comes after its candidates
	if base, rc, found := strings.Cut(s, "-rc"); found {
		if v[3], ok = number(rc); !ok {
			return v, false
		}
		s = base
	}
	parts := strings.Split(s, ".")
	if len(parts) > 3 || len(parts) < 2 {
		return v, false
	}
	for i, p := range parts {
		if v[i], ok = number(p); !ok {
			return v, false
		}
	}
	return v, true
}

func number(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 30)
	return int(n), err == nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
