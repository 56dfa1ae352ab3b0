package number

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Config is a site's dial plan as plain text; every field but Country may be empty.
type Config struct {
	Country             string // ISO 3166-1 alpha-2, upper case
	AreaCode            string // put before a local number
	ExternalPrefix      string // dialled for an outside line; empty: none
	NationalPrefix      string // trunk prefix; empty: the country's own
	InternationalPrefix string // empty: the country's own
}

// ConfigError is one thing wrong with a Config. New joins all that it finds (errors.Join).
type ConfigError struct {
	Field   string // as in the site document: country, area_code, external_prefix, national_prefix, international_prefix
	Problem string
	Fix     string
}

func (e *ConfigError) Error() string { return e.Field + ": " + e.Problem + "; " + e.Fix }

// Plan is a compiled dial plan. It is immutable and safe for concurrent use.
type Plan struct {
	callingCode   string // "1", "49"
	area          string
	external      string
	national      string
	international string
}

// New compiles a dial plan. The error joins a *ConfigError for every field that is wrong.
func New(c Config) (*Plan, error) {
	var errs []error
	code := phonenumbers.GetCountryCodeForRegion(c.Country)
	if code == 0 {
		errs = append(errs, &ConfigError{"country", fmt.Sprintf("%q is no country", c.Country),
			`use its two capital letters of ISO 3166-1, such as "US"`})
	}
	for _, f := range []struct {
		name, value string
		longest     int
	}{
		{"area_code", c.AreaCode, 6},
		{"external_prefix", c.ExternalPrefix, 4},
		{"national_prefix", c.NationalPrefix, 4},
		{"international_prefix", c.InternationalPrefix, 6},
	} {
		if f.value != "" && (!IsDigits(f.value) || len(f.value) > f.longest) {
			errs = append(errs, &ConfigError{f.name, fmt.Sprintf("%q is not 1 to %d digits", f.value, f.longest),
				"give only the digits, or leave it out"})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	p := &Plan{
		callingCode: strconv.Itoa(code), area: c.AreaCode, external: c.ExternalPrefix,
		national: c.NationalPrefix, international: c.InternationalPrefix,
	}
	if p.national == "" {
		p.national = phonenumbers.GetNddPrefixForRegion(c.Country, true)
	}
	if p.international == "" {
		p.international = internationalPrefix(c.Country, code)
	}
	return p, nil
}

// internationalPrefix is what people of the country dial before a foreign number. The metadata tells it only by
// formatting such a number; a country with several carriers' prefixes and no preferred one gets the ITU's "00".
func internationalPrefix(country string, code int) string {
	abroad := "+442079460000"
	if code == 44 {
		abroad = "+12125550100"
	}
	n, err := phonenumbers.Parse(abroad, "ZZ")
	if err != nil {
		return "00"
	}
	prefix, _, _ := strings.Cut(phonenumbers.FormatOutOfCountryCallingNumber(n, country), " ")
	if !IsDigits(prefix) {
		return "00"
	}
	return prefix
}

// External returns the prefix dialled for an outside line, or "".
func (p *Plan) External() string { return p.external }

// Emergency reports which of numbers was dialled: exactly that number, or with the external prefix before it, with or
// without visual separators. A "#" behind it, which some phones send along when it ends what was dialled, counts nothing.
func (p *Plan) Emergency(dialled string, numbers []string) (string, bool) {
	d, ok := Strip(strings.TrimSuffix(dialled, "#"))
	if !ok {
		return "", false
	}
	for _, n := range numbers {
		if d == n || d == p.external+n {
			return n, true
		}
	}
	return "", false
}
