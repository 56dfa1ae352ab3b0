package config

import (
	"strings"
	"testing"
)

func TestChanged(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"nothing":          {"", "", ""},
		"words and spaces": {`listen = "10.0.0.5:5061"           # (required)`, "listen = '10.0.0.5:5061' # ours", ""},
		"a listener":       {`listen = "10.0.0.5:5061"`, `listen = "10.0.0.6:5061"`, "phones.listen"},
		"two at once":      {"missed = 3", "missed = 4\ntimeout = \"1s\"\n#", "cloud.missed cloud.timeout"},
		"a zone":           {`name = "west"`, `name = "north"`, "cloud.zone.name"},
		"the network":      {`gateway = "10.0.0.1"`, `gateway = "10.0.0.2"`, ""},
		"no TOML":          {"[log]", "[log", ""},
	} {
		text := Example()
		if c.to == "missed = 4\ntimeout = \"1s\"\n#" {
			text = strings.Replace(text, "timeout = \"2s\"", "", 1)
		}
		if got := strings.Join(Changed([]byte(text), []byte(strings.Replace(text, c.from, c.to, 1))), " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
