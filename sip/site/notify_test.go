package site

import "testing"

func TestNotifyUsers(t *testing.T) {
	for name, c := range map[string]struct {
		notify, security array
		want             []string // user IDs
		warned           bool
	}{
		"as listed":              {array{"1001", "+12175551000"}, array{"+12175550199"}, []string{"alice", "reception"}, false},
		"the security desk":      {nil, array{"1000", "+12175550199"}, []string{"reception"}, false},
		"nobody here":            {nil, array{"+12175550199"}, nil, true},
		"the desk has one twice": {nil, array{"1000", "+12175551000", "+12175550199"}, []string{"reception"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Load(edit(t, func(m map[string]any) {
				set(m, "/emergency/notify", nil)
				if c.notify != nil {
					set(m, "/emergency/notify", c.notify)
				}
				set(m, "/emergency/security_desk", c.security)
			}))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range s.NotifyUsers() {
				got = append(got, u.ID)
			}
			if len(got) != len(c.want) {
				t.Fatalf("%v, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%v, want %v", got, c.want)
				}
			}
			warned := false
			for _, w := range s.Warnings() {
				warned = warned || w.Path == "/emergency/notify"
			}
			if warned != c.warned {
				t.Errorf("warnings: %v", s.Warnings())
			}
		})
	}
}
