package site

import "testing"

func TestFeature(t *testing.T) {
	s := example(t)
	for dialled, want := range map[string]struct {
		feature Feature
		rest    string
	}{
		"*81001": {PickupFeature, "1001"}, "*8": {NoFeature, ""}, "*5": {ParkFeature, ""}, "*57": {ParkFeature, "7"},
		"*5x": {NoFeature, ""}, "81001": {NoFeature, ""}, "911": {NoFeature, ""}, "": {NoFeature, ""}, "*61001": {NoFeature, ""},
		"*51234567890123456": {NoFeature, ""},
	} {
		if f, rest := s.Feature(dialled); f != want.feature || f != NoFeature && rest != want.rest {
			t.Errorf("Feature(%q) = %v, %q", dialled, f, rest)
		}
	}
}

func TestFeatureCodes(t *testing.T) {
	for _, tt := range []struct {
		pickup, park string
		ok           bool
	}{
		{"*8", "*5", true}, {"**8", "#5", true}, {"off", "off", true}, {"*8", "off", true},
		{"8", "*5", false}, {"*8", "*", false}, {"*8", "*85", false}, {"*8", "*8", false}, {"*911", "*5", false}, {"*x", "*5", false},
		{"***8", "*5", false}, {"*8", "911", false}, {"1001", "*5", false}, {"*8123", "*5", true}, {"*81234", "*5", false},
	} {
		data := edit(t, func(m map[string]any) {
			set(m, "/options/features/pickup", tt.pickup)
			set(m, "/options/features/park", tt.park)
		})
		if _, err := Load(data); (err == nil) != tt.ok {
			t.Errorf("pickup %q, park %q: %v", tt.pickup, tt.park, err)
		}
	}
	off, err := Load(edit(t, func(m map[string]any) { set(m, "/options/features/pickup", "off") }))
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := off.Feature("off1001"); f != NoFeature {
		t.Error("a feature that is off can be dialled")
	}
}
