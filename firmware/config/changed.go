package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Changed names the keys that stand otherwise in one boot file than in another, sorted, each once: "phones.listen". Sections that
// `holdfast netcfg` follows by itself are left out. Nothing for what is no TOML.
func Changed(old, now []byte) (keys []string) {
	a, err := newReader("", old)
	if err != nil {
		return nil
	}
	b, err := newReader("", now)
	if err != nil {
		return nil
	}
	for key := range maps.Keys(a.values) {
		if v, there := b.values[key]; !there || fmt.Sprint(v) != fmt.Sprint(a.values[key]) {
			keys = append(keys, display(key))
		}
	}
	for key := range maps.Keys(b.values) {
		if _, there := a.values[key]; !there {
			keys = append(keys, display(key))
		}
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return strings.HasPrefix(k, "network.") || strings.HasPrefix(k, "time.") })
	slices.Sort(keys)
	return slices.Compact(keys)
}
