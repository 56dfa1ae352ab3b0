package prompt

import "embed"

// The prompts that come with the program. default/README.md says how they were made.
const (
	HoldMusic       = "hold-music"
	RingBack        = "ring-back"
	Silence         = "silence"
	EmergencyNotice = "emergency-notice"
	AllTrunksDead   = "all-trunks-dead"
	NotInService    = "not-in-service"
	NobodyThere     = "nobody-there"
)

//go:embed default/*.frames
var standard embed.FS

// Default reads the set that comes with the program.
func Default() (*Set, error) { return Load(standard, "default") }
