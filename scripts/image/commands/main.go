// Command commands checks, while an image is built, that every command which the image's own scripts run is there: a busybox that has lost a name
// would otherwise show when a box starts, or when it should start again.
//
//	commands ROOT NAME...
//
// ROOT is the folder that becomes the root file system; its scripts are all files that begin with #!/bin/sh, and etc/inittab. The names are what
// other programs run.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// builtins of busybox's shell (shell/ash.c).
const builtins = " . : [ alias break cd chdir command continue echo eval exec exit export false getopts hash kill let local printf pwd read readonly return set" +
	" shift source test times trap true type ulimit umask unalias unset wait "

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: commands ROOT NAME...")
		os.Exit(2)
	}
	if err := check(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// check says which commands are missing in the folder, and who runs them.
func check(folder string, more []string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	var missing []error
	look := func(who string, names []string) {
		for _, n := range names {
			file := strings.TrimPrefix(n, "/")
			if !strings.Contains(n, "/") {
				if strings.Contains(builtins, " "+n+" ") {
					continue
				}
				file = path.Join("bin", n)
			}
			if i, err := root.Stat(file); err != nil || i.IsDir() || i.Mode()&0o111 == 0 {
				missing = append(missing, fmt.Errorf("%s runs %s, which is not in the image: is it in the list of applets?", who, n))
			}
		}
	}
	look("another program", more)
	scripts := 0
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := scriptOf(root, name)
		if text == "" || err != nil {
			return err
		}
		scripts++
		names, err := parse(text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		look(name, names)
		return nil
	})
	if err == nil && scripts == 0 {
		err = fmt.Errorf("%s has no script", folder)
	}
	return errors.Join(append(missing, err)...)
}

// mostScript is longer than any script, in bytes.
const mostScript = 1 << 20

// scriptOf is a file as a script; "" for one that is none.
func scriptOf(root *os.Root, name string) (string, error) {
	i, err := root.Stat(name)
	if err != nil || i.Size() > mostScript {
		return "", err
	}
	data, err := root.ReadFile(name)
	switch text := string(data); {
	case err != nil:
		return "", err
	case name == "etc/inittab":
		return processes(text), nil
	case strings.HasPrefix(text, "#!/bin/sh"):
		return text, nil
	}
	return "", nil
}

// processes are what an inittab runs (busybox's examples/inittab: id:runlevels:action:process), one a line.
func processes(inittab string) string {
	var b strings.Builder
	for line := range strings.Lines(inittab) {
		if fields := strings.SplitN(line, ":", 4); len(fields) == 4 && !strings.HasPrefix(line, "#") {
			b.WriteString(fields[3])
		}
	}
	return b.String()
}
