package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/firmware/admin/account"
	"holdfast/firmware/box"
)

// adminCommand edits the accounts of the admin page in the box's data folder; a running box sees it at once.
func adminCommand(_ context.Context, args []string, out io.Writer) error {
	w := ways{"admin passwd NAME [--role viewer|front-desk|admin]", "admin role NAME --role viewer|front-desk|admin", "admin list", "admin remove NAME|TOKEN-ID", "admin token NAME [--scopes read,drill]"}
	f := flags("admin", w...)
	boot := f.String("c", defaultBootFile, "boot file, which names the data folder")
	role := f.String("role", "", "viewer, front-desk or admin (passwd, role); passwd without it: as it is, admin for the first account, else viewer")
	scopes := f.String("scopes", "read", "what the token may do, separated by commas: read, acknowledge, drill, trace, maintain, accounts (token)")
	life := f.Duration("for", 365*24*time.Hour, "how long the token is good; 0 for ever (token)")
	what, args, ok := subcommand(args, "passwd", "role", "list", "remove", "token")
	if !ok {
		return w.say()
	}
	name := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	if what != "list" && name == "" {
		return usageError(fmt.Sprintf("name an account: holdfast admin %s NAME", what))
	}
	cfg, err := readConfig(*boot)
	if err != nil {
		return err
	}
	store := account.Open(filepath.Join(cfg.DataDir, box.AccountsFile), nil)
	switch what {
	case "passwd":
		return setPassword(store, name, *role, out)
	case "token":
		return addToken(store, name, *scopes, *life, out)
	case "role":
		return setRole(store, name, *role, out)
	case "remove":
		return remove(store, name, out)
	}
	return listAccounts(store, out)
}

// setPassword asks for a password: twice on a terminal, else one line of standard input.
func setPassword(store *account.Store, name, role string, out io.Writer) error {
	r := account.Role("")
	if role != "" {
		var err error
		if r, err = account.ParseRole(role); err != nil {
			return usageError(err.Error())
		}
	}
	in := bufio.NewReader(io.LimitReader(os.Stdin, 4096))
	password, err := askPassword(in, out, "New password for "+name+": ")
	if err != nil {
		return err
	}
	if isInput(os.Stdin) {
		again, err := askPassword(in, out, "Again: ")
		if err != nil {
			return err
		}
		if again != password {
			return errors.New("the two differ; nothing was changed")
		}
	}
	if err := store.SetPassword(name, password, r, false); err != nil {
		return err
	}
	u, err := store.User(name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s may log in as %s. Sessions under the old password have ended.\n", name, u.Role)
	return err
}

func setRole(store *account.Store, name, role string, out io.Writer) error {
	r, err := account.ParseRole(role)
	if err != nil {
		return usageError(err.Error())
	}
	if err := store.SetRole(account.All, name, r); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is %s now. Sessions of this name have ended.\n", name, r)
	return err
}

// remove takes an account away, or the token with this ID where there is no such account.
func remove(store *account.Store, name string, out io.Writer) error {
	err := store.Remove(name)
	if errors.Is(err, account.ErrUnknown) {
		if t, err := store.Revoke(name); err == nil {
			_, err = fmt.Fprintf(out, "The token %s (%s) is refused from now on.\n", t.Name, t.ID)
			return err
		} else if !errors.Is(err, account.ErrUnknown) {
			return err
		}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s may not use the admin page any more.\n", name)
	return err
}

// askPassword reads a line; a terminal does not show it.
func askPassword(in *bufio.Reader, out io.Writer, prompt string) (string, error) {
	if isInput(os.Stdin) {
		fmt.Fprint(out, prompt)
		defer fmt.Fprintln(out)
		fd := int(os.Stdin.Fd())
		before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return "", fmt.Errorf("terminal: %w", err)
		}
		silent := *before
		silent.Lflag &^= unix.ECHO
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
			return "", fmt.Errorf("terminal: %w", err)
		}
		defer unix.IoctlSetTermios(fd, unix.TCSETS, before)
	}
	text, err := in.ReadString('\n')
	if err != nil && text == "" {
		return "", errors.New("no password was given: type it, or pass it on standard input")
	}
	return strings.TrimRight(text, "\r\n"), nil
}

func isInput(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func addToken(store *account.Store, name, scopes string, life time.Duration, out io.Writer) error {
	set, err := account.ParseScopes(scopes)
	if err != nil {
		return usageError(err.Error())
	}
	text, err := store.AddToken(name, set, life)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\nThis is shown once. Send it as: Authorization: Bearer %s…\n", text, text[:11])
	return err
}

func listAccounts(store *account.Store, out io.Writer) error {
	users, err := store.Users()
	if err != nil {
		return err
	}
	tokens, err := store.Tokens()
	if err != nil {
		return err
	}
	if len(users)+len(tokens) == 0 {
		_, err = fmt.Fprintln(out, "Nobody may use the admin page yet: holdfast admin passwd NAME")
		return err
	}
	for _, u := range users {
		note := ""
		if u.Initial {
			note = ", has to change the password"
		}
		fmt.Fprintf(out, "%-24s %-10s password of %s%s\n", clip(u.Name, 24), u.Role, u.Changed.Format(time.DateOnly), note)
	}
	for _, t := range tokens {
		until := "for ever"
		if !t.Expires.IsZero() {
			until = "until " + t.Expires.Format(time.DateOnly)
		}
		fmt.Fprintf(out, "%-24s token %s  %s, %s\n", clip(t.Name, 24), t.ID, strings.Join(t.Scopes, ","), until)
	}
	return nil
}
