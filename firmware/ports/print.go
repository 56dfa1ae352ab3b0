package ports

import (
	"fmt"
	"strings"
)

// Text is the table for a terminal: from, to, where, and what for below.
func Text(flows []Flow) string {
	var b strings.Builder
	part := func(title string, is func(Flow) bool) {
		first := true
		for _, f := range flows {
			if !is(f) {
				continue
			}
			if first {
				fmt.Fprintf(&b, "%s\n", title)
				first = false
			}
			fmt.Fprintf(&b, "  %-8s %-12s %s → %s\n", f.Protocol, f.Ports, f.end(true), f.end(false))
			fmt.Fprintf(&b, "  %-8s %-12s %s; %s\n", "", "", f.What, f.Needed)
		}
	}
	part("To the box", func(f Flow) bool { return f.Inbound && !f.Local })
	part("From the box", func(f Flow) bool { return !f.Inbound && !f.Local })
	part("On the box and on its cable only", func(f Flow) bool { return f.Local })
	return b.String()
}

// end is one end of a flow: who, and where unless nobody knows.
func (f Flow) end(from bool) string {
	who, where := f.To, f.Address
	if from {
		who, where = f.From, f.Source
	}
	if where == "any" {
		return who
	}
	return who + " (" + where + ")"
}

// Markdown is the table for a ticket to the firewall's admin.
func Markdown(flows []Flow) string {
	var b strings.Builder
	b.WriteString("| from | to | protocol | ports at the receiver | what for | needed | setting |\n|---|---|---|---|---|---|---|\n")
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	for _, f := range flows {
		if f.Local {
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", cell.Replace(f.end(true)), cell.Replace(f.end(false)), f.Protocol, f.Ports,
			cell.Replace(f.What), f.Needed, cell.Replace(f.Setting))
	}
	return b.String()
}
