package branch

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"holdfast/sip/site"
)

// writeSite writes a real site document for the people.
func (b *Branch) writeSite() error {
	confirmed := time.Now().Add(-24 * time.Hour).Format(time.DateOnly) // today may be tomorrow where the site is
	doc := site.Document{
		Version: site.FormatVersion, Serial: uint64(time.Now().Unix()),
		Site:     site.Info{ID: "lab", Name: "Lab branch", Domain: Domain, Timezone: "America/Chicago", MainNumber: MainNumber},
		DialPlan: site.DialPlan{Country: "US", AreaCode: "217", ExternalPrefix: "9", NationalPrefix: "1", InternationalPrefix: "011", SiteCode: "801"},
		Trunks: []site.Trunk{{ID: "sbc", Address: b.SBC.Addr().String(), TLSName: sbcName,
			OptionsInterval: 5}, {ID: "backup", Address: b.Backup.Addr().String(), TLSName: sbcName, OptionsInterval: 5}},
		Emergency: site.Emergency{Notify: []string{FrontDesk}, Security: []string{FrontDesk, Subscriber},
			ELINs: []site.ELIN{{Trunk: "sbc", Number: ELIN, Address: "1 Main Street, Springfield", Confirmed: confirmed},
				{Trunk: "sbc", Number: ELIN2, Address: "1 Main Street, Springfield", Confirmed: confirmed},
				{Trunk: "backup", Number: BackupELIN, Address: "1 Main Street, Springfield", Confirmed: confirmed}}},
		// Short expiries, so that phones that leave only when told are told soon.
		Options: site.Options{MinExpires: 5, MaxExpires: int(registrationTime / time.Second)},
	}
	for _, p := range b.People {
		ha1 := map[string]string{}
		for _, algorithm := range []string{"SHA-256", "MD5"} {
			h, err := site.HA1(algorithm, p.Extension, Domain, p.Password)
			if err != nil {
				return fmt.Errorf("site document: %w", err)
			}
			ha1[algorithm] = h
		}
		var byoc []string
		if p.BYOC != "" {
			byoc = []string{p.BYOC}
		}
		doc.Users = append(doc.Users, site.User{DND: p.DND, ID: "user-" + p.Extension, Name: p.Name, Extension: p.Extension,
			CloudNumbers: []string{p.Cloud}, BYOCNumbers: byoc, Auth: site.Auth{Username: p.Extension, HA1: ha1}})
	}
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("site document: %w", err)
	}
	if _, err := site.Load(data); err != nil {
		return fmt.Errorf("site document: %w", err)
	}
	return b.write("site.json", string(data)+"\n")
}

// settings are what differs between a box that is a process and one that is a machine.
type settings struct{ dataDir, runDir, log, more string }

// writeBoot writes a real boot file. Probe timing is the default; only the hold-off is shortened.
func (b *Branch) writeBoot(s settings) error {
	z := b.Zones
	return b.write("holdfast.toml", fmt.Sprintf(`# Boot file of the lab's box, with throw-away certificates.
name = "lab"
data_dir = %q
run_dir = %q

[log]
level = %q

[phones]
listen = %q
certificate = "phones.crt"
key = "phones.key"

[trunk]
listen = %q
certificate = "trunk.crt"
key = "trunk.key"
roots = "roots.crt"

[media]
port_min = %d
port_max = %d
drain = "1s"

[cloud]
https = "https://%s/"
hold_off = %q
roots = "roots.crt"

[[cloud.zone]]
name = "zone1"
address = %q
tls_name = %q

[[cloud.zone]]
name = "zone2"
address = %q
tls_name = %q

[site]
file = "site.json"
allow_unsigned = true

[metrics]
listen = %q

[admin]
listen = %q
`+s.more, s.dataDir, s.runDir, s.log, b.phonesAddr, b.trunkAddr, b.mediaBase, b.mediaBase+mediaPorts-1,
		z[0].HTTPS(), HoldOff, z[0].SIP(), zoneName(0), z[1].SIP(), zoneName(1), b.Metrics, b.Admin))
}

func (b *Branch) write(name, text string) error {
	if err := os.WriteFile(filepath.Join(b.Dir, name), []byte(text), 0o600); err != nil {
		return fmt.Errorf("branch: %w", err)
	}
	return nil
}
