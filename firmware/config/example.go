package config

import _ "embed"

//go:embed example.toml
var example string

// Example is a complete boot file with every key and what it is for.
func Example() string { return example }
