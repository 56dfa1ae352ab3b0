package site

import (
	"slices"
	"testing"
)

// The challenge offers only what every user can answer.
func TestCommonAlgorithms(t *testing.T) {
	user := func(algs ...string) User {
		u := User{Auth: Auth{HA1: map[string]string{}}}
		for _, a := range algs {
			u.Auth.HA1[a] = "00"
		}
		return u
	}
	for name, c := range map[string]struct {
		users []User
		want  []string
	}{
		"all have both":      {[]User{user(MD5, SHA256), user(SHA256, MD5)}, []string{SHA256, MD5}},
		"one without SHA":    {[]User{user(MD5, SHA256), user(MD5)}, []string{MD5}},
		"one without MD5":    {[]User{user(SHA256), user(SHA256, MD5)}, []string{SHA256}},
		"nothing in common":  {[]User{user(SHA256), user(MD5)}, []string{SHA256, MD5}},
		"a document of none": {nil, []string{SHA256, MD5}},
	} {
		if got := commonAlgorithms(c.users); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
