package sdp

import (
	"errors"
	"slices"
	"testing"
)

func codecs(t *testing.T, b []byte) []Codec {
	t.Helper()
	d, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return d.Codecs
}

func TestFilter(t *testing.T) {
	got := Filter([]Codec{
		{96, Opus, 48000, 2, "useinbandfec=1; x-inside=10.0.0.1;Stereo=1;maxplaybackrate=evil"},
		{9, "G722", 8000, 1, ""}, {0, PCMU, 8000, 1, "mac=0011"}, {97, PCMA, 16000, 1, ""}, {18, G729, 8000, 1, "AnnexB=No"},
		{13, Noise, 8000, 1, ""}, {98, Noise, 16000, 1, ""}, {101, Event, 8000, 1, "0-15,16"}, {102, Event, 48000, 1, "10.0.0.1"},
		{99, "", 0, 0, ""}, {72, PCMU, 8000, 1, ""}, {8, PCMU, 8000, 1, ""}, {103, PCMU, 8000, 2, ""},
	})
	want := []Codec{
		{96, Opus, 48000, 2, "useinbandfec=1;stereo=1"}, {0, PCMU, 8000, 1, ""}, {18, G729, 8000, 1, "annexb=no"},
		{13, Noise, 8000, 1, ""}, {101, Event, 8000, 1, "0-15,16"}, {102, Event, 48000, 1, ""},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestOfferTo(t *testing.T) {
	for _, c := range []struct {
		name       string
		a, used, b []Codec
	}{
		{"linphone's, its numbers kept", codecs(t, linphone), nil, []Codec{{96, Opus, 48000, 2, "useinbandfec=1"}, {0, PCMU, 8000, 1, ""}, {8, PCMA, 8000, 1, ""},
			{18, G729, 8000, 1, "annexb=yes"}, {101, Event, 48000, 1, ""}, {99, Event, 16000, 1, ""}, {100, Event, 8000, 1, ""}}},
		{"baresip's: 48000 events added", codecs(t, baresip), nil, []Codec{{96, Opus, 48000, 2, "stereo=1;sprop-stereo=1"}, {0, PCMU, 8000, 1, ""}, {8, PCMA, 8000, 1, ""},
			{97, Event, 8000, 1, "0-15"}, {101, Event, 48000, 1, "0-15"}}},
		{"8000 events added, 101 taken", []Codec{{0, PCMU, 8000, 1, ""}, {96, Opus, 48000, 2, ""}, {101, Event, 48000, 1, "0-16"}}, nil,
			[]Codec{{0, PCMU, 8000, 1, ""}, {96, Opus, 48000, 2, ""}, {101, Event, 48000, 1, "0-16"}, {102, Event, 8000, 1, "0-16"}}},
		{"no events offered, none made up", codecs(t, sipp), nil, []Codec{{0, PCMU, 8000, 1, ""}}},
		{"nothing usable", []Codec{{9, "G722", 8000, 1, ""}, {101, Event, 8000, 1, ""}}, nil, nil},
		{"numbers of the dialog kept", []Codec{{96, Opus, 48000, 2, ""}, {0, PCMU, 8000, 1, ""}, {97, Event, 48000, 1, ""}, {98, Event, 8000, 1, ""}},
			[]Codec{{111, Opus, 48000, 2, ""}, {97, Event, 8000, 1, ""}},
			[]Codec{{111, Opus, 48000, 2, ""}, {0, PCMU, 8000, 1, ""}, {101, Event, 48000, 1, ""}, {97, Event, 8000, 1, ""}}},
		{"8000 events beside Opus alone", []Codec{{96, Opus, 48000, 2, ""}, {13, Noise, 8000, 1, ""}, {97, Event, 48000, 1, ""}}, nil,
			[]Codec{{96, Opus, 48000, 2, ""}, {13, Noise, 8000, 1, ""}, {97, Event, 48000, 1, ""}, {101, Event, 8000, 1, ""}}},
		{"one number, one format", []Codec{{96, Opus, 48000, 2, ""}, {97, Opus, 48000, 2, "stereo=1"}}, []Codec{{111, Opus, 48000, 2, ""}},
			[]Codec{{111, Opus, 48000, 2, ""}, {97, Opus, 48000, 2, "stereo=1"}}},
	} {
		if got := OfferTo(c.a, c.used); !slices.Equal(got, c.b) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, c.b)
		}
	}
	full := []Codec{{0, PCMU, 8000, 1, ""}, {96, Event, 16000, 1, ""}}
	for pt := uint8(97); pt < 128; pt++ {
		full = append(full, Codec{pt, Opus, 48000, 2, ""})
	}
	if got := OfferTo(full, nil); !slices.Equal(got, full) {
		t.Errorf("with no payload type left: %+v", got)
	}
}

func TestAgree(t *testing.T) {
	events := func(a, b Codec) [2]Codec { return [2]Codec{a, b} }
	none := events(Codec{}, Codec{})
	for _, c := range []struct {
		name      string
		a, answer []Codec
		audioA    Codec
		audioB    Codec
		events    [2]Codec
	}{
		{"opus, events re-timed", codecs(t, baresip), []Codec{{96, Opus, 48000, 2, "maxplaybackrate=16000"}, {101, Event, 48000, 1, "0-16"}},
			Codec{96, Opus, 48000, 2, "maxplaybackrate=16000"}, Codec{96, Opus, 48000, 2, "stereo=1;sprop-stereo=1"},
			events(Codec{97, Event, 8000, 1, "0-16"}, Codec{101, Event, 48000, 1, "0-15"})},
		{"the answer's first wins", codecs(t, linphone), []Codec{{8, PCMA, 8000, 1, ""}, {0, PCMU, 8000, 1, ""}, {101, Event, 48000, 1, ""}, {100, Event, 8000, 1, ""}},
			Codec{8, PCMA, 8000, 1, ""}, Codec{8, PCMA, 8000, 1, ""}, events(Codec{100, Event, 8000, 1, ""}, Codec{100, Event, 8000, 1, ""})},
		{"events at the other clock, if that is all", codecs(t, linphone), []Codec{{0, PCMU, 8000, 1, ""}, {101, Event, 48000, 1, ""}},
			Codec{0, PCMU, 8000, 1, ""}, Codec{0, PCMU, 8000, 1, ""}, events(Codec{100, Event, 8000, 1, ""}, Codec{101, Event, 48000, 1, ""})},
		{"events before audio in the answer", codecs(t, linphone), []Codec{{100, Event, 8000, 1, ""}, {0, PCMU, 8000, 1, ""}},
			Codec{0, PCMU, 8000, 1, ""}, Codec{0, PCMU, 8000, 1, ""}, events(Codec{100, Event, 8000, 1, ""}, Codec{100, Event, 8000, 1, ""})},
		{"no events in the answer", codecs(t, linphone), codecs(t, sipp), Codec{0, PCMU, 8000, 1, ""}, Codec{0, PCMU, 8000, 1, ""}, none},
		{"events that were not offered", codecs(t, sipp), []Codec{{0, PCMU, 8000, 1, ""}, {101, Event, 8000, 1, ""}}, Codec{0, PCMU, 8000, 1, ""}, Codec{0, PCMU, 8000, 1, ""}, none},
		{"what was not offered is passed over", codecs(t, baresip), []Codec{{9, "G722", 8000, 1, ""}, {18, G729, 8000, 1, ""}, {8, PCMA, 8000, 1, ""}},
			Codec{8, PCMA, 8000, 1, ""}, Codec{8, PCMA, 8000, 1, ""}, none},
		{"annex B: no wins over yes", codecs(t, linphone), []Codec{{18, G729, 8000, 1, "annexb=no"}}, Codec{18, G729, 8000, 1, "annexb=no"}, Codec{18, G729, 8000, 1, "annexb=no"}, none},
		{"annex B: an offered no wins over silence", codecs(t, polycom), []Codec{{18, G729, 8000, 1, ""}}, Codec{18, G729, 8000, 1, "annexb=no"}, Codec{18, G729, 8000, 1, "annexb=no"}, none},
		{"annex B: silence is yes", []Codec{{18, G729, 8000, 1, ""}}, []Codec{{18, G729, 8000, 1, ""}}, Codec{18, G729, 8000, 1, ""}, Codec{18, G729, 8000, 1, ""}, none},
	} {
		offered := OfferTo(c.a, nil)
		g, err := Agree(c.a, offered, c.answer)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if g.A.Audio != c.audioA || g.B.Audio != c.audioB || events(g.A.Event, g.B.Event) != c.events || renumbered(g) {
			t.Errorf("%s: %+v", c.name, g)
		}
	}
}

func TestAgreeNone(t *testing.T) {
	a := codecs(t, baresip)
	for name, answer := range map[string][]Codec{
		"empty": nil, "other codecs": {{18, G729, 8000, 1, ""}, {9, "G722", 8000, 1, ""}}, "another clock": {{0, PCMU, 16000, 1, ""}},
		"events alone": {{97, Event, 8000, 1, ""}}, "noise alone": {{13, Noise, 8000, 1, ""}}, "unnamed": {{96, "", 0, 0, ""}},
	} {
		if g, err := Agree(a, OfferTo(a, nil), answer); !errors.Is(err, ErrNoCodec) {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
}

// The box may offer less than it could; only what it offered counts.
func TestAgreeWithinTheOffer(t *testing.T) {
	a := codecs(t, baresip)
	g, err := Agree(a, []Codec{{8, PCMA, 8000, 1, ""}}, []Codec{{0, PCMU, 8000, 1, ""}, {8, PCMA, 8000, 1, ""}, {97, Event, 8000, 1, ""}})
	if err != nil || g.A.Audio.Name != PCMA || g.A.Event.Clock != 0 || g.B.Event.Clock != 0 {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestAgreeNoiseAndNumbers(t *testing.T) {
	a := []Codec{{0, PCMU, 8000, 1, ""}, {96, Opus, 48000, 2, ""}, {13, Noise, 8000, 1, ""}, {101, Event, 8000, 1, ""}}
	offered := OfferTo(a, nil)
	g, err := Agree(a, offered, []Codec{{0, PCMU, 8000, 1, ""}, {13, Noise, 8000, 1, ""}})
	if err != nil || g.A.Noise.Type != 13 || g.B.Noise.Clock != 8000 || !slices.Equal(g.A.Codecs(), []Codec{a[0], a[2]}) {
		t.Errorf("%+v, %v", g, err)
	}
	g, err = Agree(a, offered, []Codec{{99, Opus, 48000, 2, ""}, {13, Noise, 8000, 1, ""}, {98, Event, 48000, 1, ""}})
	if err != nil || g.A.Noise.Clock != 0 { // its clock is not the codec's
		t.Errorf("%+v, %v", g, err)
	}
	if !renumbered(g) || g.Ours.Audio.Type != 96 || g.B.Audio.Type != 99 || g.Ours.Event.Type != 102 || g.B.Event.Type != 98 || g.A.Event.Type != 101 {
		t.Errorf("%+v", g)
	}
	if !slices.Equal(g.A.Codecs(), []Codec{{96, Opus, 48000, 2, ""}, {101, Event, 8000, 1, ""}}) {
		t.Errorf("answer %+v", g.A.Codecs())
	}
}

func TestDefaultOffer(t *testing.T) {
	d := DefaultOffer()
	if got := OfferTo(d, nil); !slices.Equal(got, d) {
		t.Errorf("the default offer is not one that passes unchanged: %+v", got)
	}
}

// renumbered reports whether the second party sends with other payload types than it wants to get.
func renumbered(g Agreement) bool {
	return g.Ours.Audio.Type != g.B.Audio.Type || g.Ours.Event.Clock != 0 && g.Ours.Event.Type != g.B.Event.Type
}
