package site

import "slices"

// emergencyNumbers are the numbers that reach police, fire brigade or ambulance, by country: 112 in the European
// Union (Directive (EU) 2018/1972, article 109) and where else it is served, and the national ones. A country that is
// not here needs Emergency.Numbers in its site document.
func emergencyNumbers(country string) []string {
	switch country {
	case "US", "CA", "PR", "VI", "GU", "AS", "MP":
		return []string{"911"}
	case "GB", "IE", "MY":
		return []string{"999", "112"}
	case "DK", "FI", "IS", "LT", "MT", "NL", "PT", "RO", "SE", "TR":
		return []string{"112"}
	case "AT":
		return []string{"112", "122", "133", "144"}
	case "AU":
		return []string{"000", "112", "106"}
	case "BE":
		return []string{"112", "100", "101"}
	case "BG":
		return []string{"112", "150", "160", "166"}
	case "BR":
		return []string{"190", "192", "193"}
	case "CH", "LI":
		return []string{"112", "117", "118", "144"}
	case "CY":
		return []string{"112", "199"}
	case "CZ", "SK":
		return []string{"112", "150", "155", "158"}
	case "DE":
		return []string{"112", "110"}
	case "EE":
		return []string{"112", "110"}
	case "ES":
		return []string{"112", "061", "062", "080", "085", "088", "091", "092"}
	case "FR":
		return []string{"112", "15", "17", "18", "114"}
	case "GR":
		return []string{"112", "100", "166", "199"}
	case "HK":
		return []string{"999", "112"}
	case "HR":
		return []string{"112", "192", "193", "194"}
	case "HU":
		return []string{"112", "104", "105", "107"}
	case "IL":
		return []string{"100", "101", "102", "112"}
	case "IN":
		return []string{"112", "100", "101", "102", "108"}
	case "IT":
		return []string{"112", "113", "115", "118"}
	case "JP":
		return []string{"110", "119", "118"}
	case "KR":
		return []string{"112", "119"}
	case "LU":
		return []string{"112", "113"}
	case "LV":
		return []string{"112", "110", "113"}
	case "MX", "PH":
		return []string{"911"}
	case "NO":
		return []string{"110", "112", "113"}
	case "NZ":
		return []string{"111"}
	case "PL":
		return []string{"112", "997", "998", "999"}
	case "SG":
		return []string{"995", "999", "993"}
	case "SI":
		return []string{"112", "113"}
	case "TW":
		return []string{"110", "119", "112"}
	case "UA":
		return []string{"112", "101", "102", "103"}
	case "ZA":
		return []string{"112", "10111", "10177"}
	}
	return nil
}

// testNumbers are what an installer dials to test the emergency path of a country.
func testNumbers(country string) []string {
	switch country {
	case "US", "CA":
		return []string{"933"}
	}
	return nil
}

// join is the country's numbers and the site's, each once.
func join(country, site []string) []string {
	all := slices.Clone(country)
	for _, n := range site {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}
