package site

import (
	"encoding/json"
	"fmt"
	"testing"
)

// large is a document with so many users, each with all four number forms, two HA1 values, two forwards and a device.
func large(t testing.TB, users int) []byte {
	t.Helper()
	d := *example(t).Doc()
	d.Users, d.Devices = nil, nil
	d.Emergency.Security = []string{"+13125550199"}
	d.Emergency.Notify = []string{"20000"}
	for i := range users {
		name := fmt.Sprint(20000 + i)
		u := User{
			ID: "user-" + name, Name: "User " + name, Extension: name, Zone: "upper",
			CloudNumbers: []string{fmt.Sprintf("+1312%07d", 2000000+i)}, BYOCNumbers: []string{fmt.Sprintf("+1217%07d", 2000000+i)},
			Forward: Forward{NoAnswer: fmt.Sprint(20000 + (i+1)%users), Unreachable: fmt.Sprintf("+1314%07d", 2000000+i)},
			Auth:    Auth{Username: name, HA1: make(map[string]string)},
		}
		for _, algorithm := range []string{SHA256, MD5} {
			var err error
			if u.Auth.HA1[algorithm], err = HA1(algorithm, name, d.Site.Domain, "secret"); err != nil {
				t.Fatal(err)
			}
		}
		d.Users = append(d.Users, u)
		d.Devices = append(d.Devices, Device{ID: fmt.Sprintf("urn:uuid:%032x", i), User: u.ID})
	}
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A thousand here, because the race detector makes it slow; the benchmark loads ten thousand.
func TestManyUsers(t *testing.T) {
	s, err := Load(large(t, 1000))
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := s.Lookup("+12172000999"); !ok || u.Extension != "20999" {
		t.Errorf("the last user is %v, %v", u, ok)
	}
}

func BenchmarkLoad10000Users(b *testing.B) {
	data := large(b, 10_000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() { // one run must stay below a second
		if _, err := Load(data); err != nil {
			b.Fatal(err)
		}
	}
}
