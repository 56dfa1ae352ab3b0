package main

import (
	"bytes"
	"strings"
	"testing"
)

const (
	before = "code\x00\xffbootcmd=none\x00text bootdelay=9\x00"
	env    = "\x00bootcmd=run distro_bootcmd\x00bootdelay=2\x00baudrate=115200\x00pxe=dhcp; pxe boot\x00\x00"
	after  = "\x00more\xd5"
)

func TestChange(t *testing.T) {
	for name, c := range map[string]struct {
		binary  string
		changes string // separated by |
		want    string // the environment, without its end; or
		fault   string
	}{
		"taken away and set": {before + env + after, "pxe=|bootdelay=-2", "bootcmd=run distro_bootcmd|bootdelay=-2|baudrate=115200", ""},
		"same size":          {before + env + after, "bootdelay=0", "bootcmd=run distro_bootcmd|bootdelay=0|baudrate=115200|pxe=dhcp; pxe boot", ""},
		"shorter":            {before + env + after, "bootcmd=reset", "bootcmd=reset|bootdelay=2|baudrate=115200|pxe=dhcp; pxe boot", ""},
		"with an equal sign": {before + env + after, "pxe=a=b", "bootcmd=run distro_bootcmd|bootdelay=2|baudrate=115200|pxe=a=b", ""},
		"too long":           {before + env + after, "bootdelay=-2", "", "1 bytes more"},
		"unknown":            {before + env + after, "boot_delay=-2", "", "no variable boot_delay"},
		"beginning of one":   {before + env + after, "boot=x", "", "no variable boot"},
		"no value":           {before + env + after, "bootdelay", "", "not NAME=VALUE"},
		"no name":            {before + env + after, "=x", "", "not NAME=VALUE"},
		"zero byte":          {before + env + after, "pxe=a\x00b=c", "", "not NAME=VALUE"},
		"twice":              {before + env + env + after, "pxe=", "", "more than one"},
		"none":               {before + after, "pxe=", "", "no built-in environment"},
		"no end":             {before + strings.TrimRight(env, "\x00"), "pxe=", "", "no built-in environment"},
	} {
		t.Run(name, func(t *testing.T) {
			binary := []byte(c.binary)
			err := change(binary, strings.Split(c.changes, "|"))
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) || string(binary) != c.binary {
					t.Fatalf("error %v, want %q and nothing changed", err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(binary) != len(c.binary) || !bytes.HasPrefix(binary, []byte(before+"\x00")) || !bytes.HasSuffix(binary, []byte(after)) {
				t.Fatalf("what is around has changed: %q", binary)
			}
			got := string(binary[len(before)+1 : len(before)+len(env)])
			if trimmed := strings.TrimRight(got, "\x00"); strings.ReplaceAll(trimmed, "\x00", "|") != c.want || len(got)-len(trimmed) < 2 {
				t.Errorf("%q", got)
			}
		})
	}
}
