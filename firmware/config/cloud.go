package config

import (
	"net/url"
	"strings"
)

// Hosts are what phones and the box find the cloud and its portal by: names in lower case, or addresses. They are never the box's own.
func (c *Config) Hosts() (out []string) {
	add := func(host string) {
		if host = strings.ToLower(strings.TrimSuffix(host, ".")); host != "" {
			out = append(out, host)
		}
	}
	for _, z := range c.Cloud.Zones {
		host, _, _ := strings.Cut(z.Address, ":") // no IPv6
		add(host)
		add(z.TLSName)
	}
	for _, address := range []string{c.Cloud.HTTPS, c.Portal.URL} {
		if u, err := url.Parse(address); err == nil {
			add(u.Hostname())
		}
	}
	return out
}
