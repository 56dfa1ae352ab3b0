package box

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"holdfast/firmware/admin/account"
	"holdfast/firmware/config"
)

// TestFirstPassword: what somebody puts on the card logs in once, and never over an account that is there.
func TestFirstPassword(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "admin.password")
	b := &Box{cfg: &config.Config{DataDir: dir}, log: slog.New(slog.DiscardHandler)}
	accounts := account.Open(filepath.Join(dir, AccountsFile), nil)
	if err := b.firstPassword(accounts); err != nil {
		t.Errorf("none is named: %v", err)
	}
	b.cfg.Admin.FirstPasswordFile = file
	if err := b.firstPassword(accounts); err == nil {
		t.Error("a missing file is not said")
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"", "\n", "short\n", "\xef\xbb\xbf"} {
		write(bad)
		if err := b.firstPassword(accounts); err == nil {
			t.Errorf("%q is a password", bad)
		}
	}
	write("\xef\xbb\xbffour words of nonsense \r\nanother line\r\n") // from an editor that marks its files
	if err := b.firstPassword(accounts); err != nil {
		t.Fatal(err)
	}
	if u, err := accounts.Authenticate("admin", "four words of nonsense"); err != nil || !u.Initial || u.Role != account.Admin {
		t.Errorf("%+v, %v", u, err)
	}
	write("another password that would do\n")
	if err := b.firstPassword(accounts); err != nil {
		t.Error(err)
	}
	if _, err := accounts.Authenticate("admin", "four words of nonsense"); err != nil {
		t.Errorf("the account was overwritten: %v", err)
	}
}
