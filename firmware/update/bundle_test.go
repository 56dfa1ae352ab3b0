package update

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
)

func signed(manifest string, key ed25519.PrivateKey) []byte {
	s := ed25519.Sign(key, append([]byte(purpose), manifest...))
	return []byte(magic + base64.StdEncoding.EncodeToString(s) + "\n" + manifest + "\n")
}

const sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// TestManifests that are signed and wrong: the maker made a mistake, and the box does not.
func TestManifests(t *testing.T) {
	const rest = `"version":"v1","commit":"c","board":"b","slot_format":1`
	file := func(name, size, hash string) string {
		return `{"name":"` + name + `","size":` + size + `,"sha256":"` + hash + `"}`
	}
	good := file(RootFile, "1", sum) + "," + file(BootFile, "1", sum)
	for _, c := range []struct{ name, manifest, want string }{
		{"good", `{` + rest + `,"files":[` + good + `]}`, ""},
		{"no JSON", `{`, "is damaged: manifest"},
		{"unknown key", `{` + rest + `,"new":1,"files":[` + good + `]}`, "is damaged: manifest"},
		{"no files", `{` + rest + `}`, "it has to hold root.squashfs and boot.img"},
		{"one file", `{` + rest + `,"files":[` + file(RootFile, "1", sum) + `]}`, "it has to hold"},
		{"other order", `{` + rest + `,"files":[` + file(BootFile, "1", sum) + `,` + file(RootFile, "1", sum) + `]}`, "it has to hold"},
		{"other name", `{` + rest + `,"files":[` + file("../../etc/passwd", "1", sum) + `,` + file(BootFile, "1", sum) + `]}`, "it has to hold"},
		{"size 0", `{` + rest + `,"files":[` + file(RootFile, "0", sum) + `,` + file(BootFile, "1", sum) + `]}`, "size or hash of root"},
		{"size below 0", `{` + rest + `,"files":[` + file(RootFile, "1", sum) + `,` + file(BootFile, "-1", sum) + `]}`, "size or hash of boot"},
		{"short hash", `{` + rest + `,"files":[` + file(RootFile, "1", "00") + `,` + file(BootFile, "1", sum) + `]}`, "size or hash of root"},
		{"other format", `{"version":"v1","board":"b","slot_format":2,"files":[` + good + `]}`, "flash the card anew"},
		{"too long", `{` + strings.Repeat(" ", MaxManifest) + rest + `,"files":[` + good + `]}`, "no update bundle"},
	} {
		_, err := readManifest(bufio.NewReader(bytes.NewReader(signed(c.manifest, ours))), trusted.Key)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// A signature of the same bytes for another purpose is none.
	manifest := `{` + rest + `,"files":[` + good + `]}`
	b := []byte(magic + base64.StdEncoding.EncodeToString(ed25519.Sign(ours, []byte(manifest))) + "\n" + manifest + "\n")
	if _, err := readManifest(bufio.NewReader(bytes.NewReader(b)), trusted.Key); err != ErrSignature {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	good := bundle(t, v2, ours)
	if m, err := Check(bytes.NewReader(good), trusted.Key); err != nil || m.Release != v2 {
		t.Errorf("%+v %v", m, err)
	}
	last := bytes.Clone(good)
	last[len(last)-1] ^= 1
	for want, b := range map[string][]byte{
		"boot.img": last, "in the middle": good[:len(good)-1], "more than": append(bytes.Clone(good), 0), "not signed": bundle(t, v2, foreign),
	} {
		if _, err := Check(bytes.NewReader(b), trusted.Key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestVersions(t *testing.T) {
	order := []string{"v0.9", "v1.0.0-rc1", "v1.0.0-rc2", "v1.0.0-rc2-3-gabcdef0", "1.0.0", "v1.0.0-1-gabc", "v1.0.0-12-g123", "v1.0.1", "v1.2.0", "v1.10.0", "v2.0.0"}
	for i, a := range order {
		for j, b := range order {
			if got, known := compareVersions(a, b); !known || got != max(-1, min(1, i-j)) {
				t.Errorf("%s and %s: %d, %v", a, b, got, known)
			}
		}
	}
	for _, v := range []string{"", "v1", "abcdef0", "v1.2.3.4", "v1.x", "v1.2.3-beta", "v-1.0", "v1.2.3-x-gabc", "dev", "v99999999999.0"} {
		if got, known := compareVersions(v, "v1.0.0"); known {
			t.Errorf("%q is %d", v, got)
		}
	}
	for _, c := range []struct {
		new, old Release
		want     string
	}{
		{Release{Version: "v1.1.0"}, Release{Version: "v1.0.0"}, ""},
		{Release{Version: "v1.1.0", Time: 1}, Release{Version: "v1.0.0", Time: 2}, ""}, // tags before times
		{Release{Version: "abc", Time: 2}, Release{Version: "def", Time: 1}, ""},
		{Release{Version: "abc", Time: 1}, Release{Version: "def", Time: 2}, "not newer"},
		{Release{Version: "abc"}, Release{Version: "def", Time: 2}, "cannot be told"},
		{Release{Version: "abc", Commit: "1"}, Release{Version: "abc", Commit: "1"}, "runs already"},
		{Release{Version: "v1.0.0-dirty", Commit: "2"}, Release{Version: "v1.0.0", Commit: "1"}, "not newer"},
	} {
		if err := c.new.newer(c.old); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v after %+v: %v", c.new, c.old, err)
		}
	}
}

func TestParseRelease(t *testing.T) {
	r, err := ParseRelease([]byte("VERSION=v1.0.0\nCOMMIT=abc\nBOARD=rpi4\nSLOT_FORMAT=1\nTIME=1700000000\nNEW=x\n"))
	if err != nil || r != (Release{"v1.0.0", "abc", "rpi4", 1, 1700000000}) {
		t.Errorf("%+v %v", r, err)
	}
	for _, text := range []string{"", "VERSION=v1\nBOARD=b\n", "VERSION=v1\nSLOT_FORMAT=1\n", "BOARD=b\nSLOT_FORMAT=1\n", "VERSION=v1\nBOARD=b\nSLOT_FORMAT=x\n"} {
		if _, err := ParseRelease([]byte(text)); err == nil {
			t.Errorf("%q is a release", text)
		}
	}
}

// FuzzBundle: nothing that is not signed gets further than the signature, and nothing makes the reader read without end.
func FuzzBundle(f *testing.F) {
	f.Add(signed(`{}`, ours))
	f.Add(signed(`{}`, foreign))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readManifest(bufio.NewReader(bytes.NewReader(b)), foreign.Public().(ed25519.PublicKey))
		if err == nil && m.check() != nil {
			t.Error("a manifest that is wrong was taken")
		}
	})
}
