package account

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const good = "four words of nonsense"

func TestPasswordPolicy(t *testing.T) {
	for password, want := range map[string]string{
		good: "", "ä ö ü ß é": "too short", "ten chars!": "", "nine char": "too short", "aaaaaaaaaaaaaaa": "over and over", "holdfast2026": "guessed", "MyHoldfast!": "guessed",
		"frontdesk1": "guessed", strings.Repeat("ab", 129): "longer than 256", "not\xfftext at all": "not valid text", "": "too short",
	} {
		err := CheckPassword("frontdesk", password)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", password, err, want)
		}
	}
}

func TestHash(t *testing.T) {
	a, b := hash(good), hash(good)
	if a == b || !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("%s, %s", a, b)
	}
	if !verify(a, good) || !verify(b, good) || verify(a, good+" ") || verify(a, "") {
		t.Error("verify is wrong")
	}
	salt, key := strings.Repeat("A", 22), strings.Repeat("A", 43)
	for _, bad := range []string{
		"", "$", "plain", "$argon2i$v=19$m=64,t=1,p=1$" + salt + "$" + key, "$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=4000000,p=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=0,p=0$" + salt + "$" + key,
		"$argon2id$v=19$m=-1,t=1,p=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$", "$argon2id$v=19$m=64,t=1,p=1$$" + key, "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$!!",
		"$argon2id$v=19$" + salt + "$" + key,
	} {
		if verify(bad, good) {
			t.Errorf("%q verifies", bad)
		}
	}
	if verify(nobody, good) {
		t.Error("nobody's password is known")
	}
}

func open(t *testing.T, now func() time.Time) *Store {
	t.Helper()
	return Open(filepath.Join(t.TempDir(), "accounts.json"), now)
}

// TestTwoPrograms: what the command line writes, the running box sees at once, and the other way round.
func TestTwoPrograms(t *testing.T) {
	box := open(t, nil)
	if _, err := box.Authenticate("ann", good); !errors.Is(err, ErrNoAccount) {
		t.Errorf("nobody yet: %v", err)
	}
	command := Open(box.path, nil)
	if err := command.SetPassword("ann", good, "", false); err != nil {
		t.Fatal(err)
	}
	u, err := box.Authenticate("ann", good)
	if err != nil || u.Role != Admin {
		t.Fatalf("the first account: %+v, %v", u, err)
	}
	for name, password := range map[string]string{"ann": good + "!", "Ann": good, "": good, "bob": good} {
		if _, err := box.Authenticate(name, password); !errors.Is(err, ErrWrong) {
			t.Errorf("%q %q: %v", name, password, err)
		}
	}
	if err := box.SetPassword("bob", good, "", false); err != nil {
		t.Fatal(err)
	}
	if u, _ := command.User("bob"); u.Role != Viewer {
		t.Errorf("the second account is %s", u.Role)
	}
	if err := command.SetPassword("bob", good+"!", FrontDesk, false); err != nil {
		t.Fatal(err)
	}
	if err := command.SetPassword("bob", good+"?", "", false); err != nil {
		t.Fatal(err)
	}
	if u, err := box.Authenticate("bob", good+"?"); err != nil || u.Role != FrontDesk {
		t.Errorf("a new password took the role away: %+v, %v", u, err)
	}
	if i, err := os.Stat(box.path); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", i.Mode(), err)
	}
	if err := command.Remove("bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := box.User("bob"); !errors.Is(err, ErrUnknown) {
		t.Errorf("bob is still here: %v", err)
	}
	if err := command.Remove("bob"); !errors.Is(err, ErrUnknown) {
		t.Errorf("removed twice: %v", err)
	}
	data, err := os.ReadFile(box.path)
	if err != nil || strings.Contains(string(data), good) {
		t.Errorf("the file holds a password: %v", err)
	}
	if left, _ := filepath.Glob(box.path + ".*"); len(left) != 1 { // the lock
		t.Errorf("left over: %v", left)
	}
}

// TestPowerCut: what a cut left of writing the file goes with the next change; the lock, and what the reset button put aside, stay.
func TestPowerCut(t *testing.T) {
	s := open(t, nil)
	for _, name := range []string{".1234567", ".before-reset"} {
		if err := os.WriteFile(s.path+name, []byte(good), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.AddToken("t", Read, 0); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(s.path + "*")
	if want := []string{s.path, s.path + ".before-reset", s.path + ".lock"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("%q, want %q (%v)", left, want, err)
	}
}

// TestTogether: changes of many programs at the same time are all there afterwards.
func TestTogether(t *testing.T) {
	s := open(t, nil)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if _, err := Open(s.path, nil).AddToken(fmt.Sprint("t", i), Read, 0); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if list, err := s.Tokens(); err != nil || len(list) != 8 {
		t.Errorf("%d tokens, %v", len(list), err)
	}
}

func TestNames(t *testing.T) {
	s := open(t, nil)
	for _, bad := range []string{"", " ann", "ann ", "a\nb", "a\x00b", strings.Repeat("a", 65), "a\u200eb", "\xff"} {
		if err := s.SetPassword(bad, good, "", false); err == nil {
			t.Errorf("%q is a name", bad)
		}
		if _, err := s.AddToken(bad, Read, 0); err == nil {
			t.Errorf("%q is a token's name", bad)
		}
	}
	if err := s.SetPassword("Zoë O’Neill <admin>", good, "", false); err != nil {
		t.Error(err)
	}
}

// TestTornFile: a file that cannot be read lets nobody in, says what to do, and is not overwritten.
func TestTornFile(t *testing.T) {
	for name, text := range map[string]string{"torn": `{"users":[{"na`, "other": "<html>", "large": strings.Repeat(" ", maxFile+1)} {
		s := open(t, nil)
		if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Authenticate("ann", good); err == nil || errors.Is(err, ErrNoAccount) || errors.Is(err, ErrWrong) {
			t.Errorf("%s: %v", name, err)
		}
		if made, err := s.First(good); made || err == nil {
			t.Errorf("%s: a first account over the others' file: %v", name, err)
		}
		if now, _ := os.ReadFile(s.path); string(now) != text {
			t.Errorf("%s: overwritten", name)
		}
	}
}

func TestFirst(t *testing.T) {
	s := open(t, nil)
	if made, err := s.First("short"); made || err == nil {
		t.Error("a bad first password was taken")
	}
	if made, err := s.First(good); !made || err != nil {
		t.Fatal(made, err)
	}
	if u, err := s.Authenticate("admin", good); err != nil || !u.Initial || u.Role != Admin {
		t.Errorf("%+v, %v", u, err)
	}
	if made, err := s.First(good + "!"); made || err != nil {
		t.Errorf("a second first: %v, %v", made, err)
	}
}

func TestTokens(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := open(t, func() time.Time { return now })
	text, err := s.AddToken("grafana", Read|Drill, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if x, scopes, err := s.Token(text); err != nil || scopes != Read|Drill || x.Name != "grafana" {
		t.Errorf("%+v %v %v", x, scopes, err)
	}
	for _, bad := range []string{"", text[:len(text)-1], text + "x", strings.ToUpper(text), "hf_00000000_"} {
		if _, _, err := s.Token(bad); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	now = now.Add(time.Hour)
	if _, _, err := s.Token(text); !errors.Is(err, ErrUnknown) {
		t.Errorf("a token that has ended: %v", err)
	}
	if _, err := s.AddToken("none", None, 0); err == nil {
		t.Error("a token for nothing")
	}
	data, _ := os.ReadFile(s.path)
	if strings.Contains(string(data), text[12:]) {
		t.Error("the file holds the token")
	}
}

func TestScopes(t *testing.T) {
	for text, want := range map[string]Scope{"read": Read, "read, drill": Read | Drill, "trace,maintain,acknowledge": Trace | Maintain | Acknowledge} {
		if got, err := ParseScopes(text); err != nil || got != want {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "all", "read,", "READ", "read drill"} {
		if _, err := ParseScopes(bad); err == nil {
			t.Errorf("%q are scopes", bad)
		}
	}
	if got, err := ParseScopes(strings.Join(All.Names(), ",")); err != nil || got != All {
		t.Errorf("%v %v", got, err)
	}
	for role, want := range map[Role]Scope{Viewer: Read, FrontDesk: Read | Acknowledge, Admin: All, "boss": None, "": None} {
		if got := role.Scopes(); got != want {
			t.Errorf("%q: %v", role, got)
		}
		if _, err := ParseRole(string(role)); (err == nil) != (want != None) {
			t.Errorf("%q: %v", role, err)
		}
	}
}
