package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// image is what the document describes.
type image struct {
	version, board string
	created        time.Time
}

// The parts of SPDX 2.3's JSON that are used here.
type (
	document struct {
		Version       string         `json:"spdxVersion"`
		License       string         `json:"dataLicense"`
		ID            string         `json:"SPDXID"`
		Name          string         `json:"name"`
		Namespace     string         `json:"documentNamespace"`
		Creation      creation       `json:"creationInfo"`
		Packages      []part         `json:"packages"`
		Relationships []relationship `json:"relationships"`
	}
	creation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	part struct {
		ID        string     `json:"SPDXID"`
		Name      string     `json:"name"`
		Version   string     `json:"versionInfo"`
		Supplier  string     `json:"supplier"`
		Location  string     `json:"downloadLocation"`
		Analyzed  bool       `json:"filesAnalyzed"`
		Checksums []checksum `json:"checksums,omitempty"`
		Source    string     `json:"sourceInfo,omitempty"`
		Concluded string     `json:"licenseConcluded"`
		Declared  string     `json:"licenseDeclared"`
		Copyright string     `json:"copyrightText"`
		External  []external `json:"externalRefs,omitempty"`
	}
	checksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	external struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	relationship struct {
		From string `json:"spdxElementId"`
		Kind string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
)

const none = "NOASSERTION"

// writeSPDX writes sbom.spdx.json. The same parts give the same bytes.
func writeSPDX(out string, img image, debs []deb, mods []module) error {
	data, err := json.MarshalIndent(describe(img, debs, mods), "", " ")
	if err != nil {
		return fmt.Errorf("SBOM: %w", err)
	}
	if err := os.WriteFile(filepath.Join(out, "sbom.spdx.json"), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("SBOM: %w", err)
	}
	return nil
}

func describe(img image, debs []deb, mods []module) document {
	name := "holdfast-" + img.board + "-" + img.version
	d := document{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: name,
		Namespace: "https://spdx.org/spdxdocs/" + url.PathEscape(name) + "-" + img.created.Format("20060102T150405Z"),
		Creation:  creation{img.created.Format(time.RFC3339), []string{"Tool: holdfast scripts/image/sbom"}},
	}
	add := func(parent string, p part) {
		p.Concluded, p.Copyright = none, none
		d.Packages = append(d.Packages, p)
		kind := "CONTAINS"
		if parent == d.ID {
			kind = "DESCRIBES"
		}
		d.Relationships = append(d.Relationships, relationship{parent, kind, p.ID})
	}
	const root, program = "SPDXRef-image", "SPDXRef-holdfast"
	add(d.ID, part{ID: root, Name: "holdfast-image-" + img.board, Version: img.version, Supplier: none, Location: none, Declared: none})
	add(root, part{ID: program, Name: "holdfast", Version: img.version, Supplier: none, Location: none, Declared: "Apache-2.0"})
	for _, m := range mods {
		purl, location := "pkg:golang/"+m.path+"@"+m.version, "https://proxy.golang.org/"+m.path+"/@v/"+m.version+".zip"
		if m.path == "std" {
			location = "https://go.dev/dl/go" + m.version + ".src.tar.gz"
		}
		add(program, part{ID: identifier("go", m.path), Name: m.path, Version: m.version, Supplier: none, Location: location,
			Source: m.sum, Declared: m.licence, External: []external{{"PACKAGE-MANAGER", "purl", purl}}})
	}
	for _, b := range debs {
		add(root, part{ID: identifier("deb", b.name), Name: b.name, Version: b.version, Supplier: "Organization: Debian",
			Location: "https://snapshot.debian.org/package/" + b.sourceName + "/" + b.sourceVersion + "/", Checksums: []checksum{{"SHA256", b.sha256}},
			Source: "built from the Debian source package " + b.sourceName + " " + b.sourceVersion, Declared: none,
			External: []external{{"PACKAGE-MANAGER", "purl", "pkg:deb/debian/" + b.name + "@" + url.QueryEscape(b.version) + "?arch=" + b.arch + "&distro=bookworm"}}})
	}
	return d
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// identifier makes an SPDX identifier: letters, digits, dots and dashes.
func identifier(kind, name string) string {
	return "SPDXRef-" + kind + "-" + notInID.ReplaceAllString(name, "-")
}
