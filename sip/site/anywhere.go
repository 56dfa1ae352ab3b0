package site

import (
	"slices"
	"strings"
)

// EmergencyAnywhere reports whether digits call police, fire brigade or ambulance in any country, directly or after one
// or two digits for a line outside: what must never be dialled for a test, whichever site it is. Site.EmergencyNumbers
// says what they do in one site.
func EmergencyAnywhere(dialled string) bool {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, dialled)
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			numbers := emergencyNumbers(string([]rune{a, b}))
			for prefix := range min(3, len(digits)) {
				if slices.Contains(numbers, digits[prefix:]) {
					return true
				}
			}
		}
	}
	return false
}
