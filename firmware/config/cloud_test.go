package config

import (
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	for name, c := range map[string]struct {
		c    Config
		want string
	}{
		"nothing": {Config{}, ""},
		"all": {Config{Cloud: Cloud{Zones: []Zone{{Address: "East.Cloud.Example:5061", TLSName: "cloud.example."}, {Address: "192.0.2.7:5061", TLSName: "west.cloud.example"}},
			HTTPS: "https://Phones.example.com:8443/x"}, Portal: Portal{URL: "https://portal.example.com/sites/1"}},
			"east.cloud.example cloud.example 192.0.2.7 west.cloud.example phones.example.com portal.example.com"},
		"nothing of use": {Config{Cloud: Cloud{Zones: []Zone{{}}, HTTPS: "://"}}, ""},
	} {
		if got := strings.Join(c.c.Hosts(), " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
