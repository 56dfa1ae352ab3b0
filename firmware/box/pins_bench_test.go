package box

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"holdfast/firmware/emergency"
	"holdfast/firmware/snapshot"
	"holdfast/sip/b2bua"
	"holdfast/sip/elin"
	"holdfast/sip/route"
)

// BenchmarkBeforeTheInvite is what an emergency call does before its INVITE leaves and an ordinary one does not: it is
// recognised, its record begins, its ELIN is chosen and pinned, both pins and record are in the files that survive a kill. It
// reports the 99th percentile besides the mean.
func BenchmarkBeforeTheInvite(b *testing.B) {
	for _, held := range []int{0, 100, 1000} {
		b.Run(fmt.Sprintf("%d pins", held), func(b *testing.B) {
			dir, log := b.TempDir(), slog.New(slog.DiscardHandler)
			f, _, err := snapshot.Open(filepath.Join(dir, "snapshot"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			box := &Box{log: log, snapshot: f, pinned: openPins(dir, log)}
			if box.journal, err = emergency.New(emergency.Options{Snapshot: f, Log: log}); err != nil {
				b.Fatal(err)
			}
			at := elin.Place{Trunk: "sbc", ELINs: []string{"+12175550911", "+12175550912"}, Main: "+12175551000"}
			for i := range held {
				box.pinned.table.Pin(time.Now(), at, elin.Caller{User: fmt.Sprint("held", i), Number: "1001", Display: "Somebody", CallID: fmt.Sprint("held", i)})
			}
			st := rigSite(b, 10, "127.0.0.1:5061", nil)
			u, _ := st.UserByID("user-1001")
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				began := time.Now()
				number, _, ok := route.Recognise(st, "9911")
				if !ok {
					b.Fatal("not recognised")
				}
				id := fmt.Sprint("call", i)
				box.emergencyStep(b2bua.EmergencyEvent{Call: id, Kind: b2bua.Recognised, At: began, Facts: &b2bua.EmergencyFacts{Dialled: "9911", Number: number, User: u, Place: st.Place(nil, u)}})
				a := box.pinned.table.Pin(time.Now(), at, elin.Caller{User: u.ID, Number: u.Extension, Display: u.Name, CallID: id})
				box.pinned.save()
				box.emergencyStep(b2bua.EmergencyEvent{Call: id, Kind: b2bua.InviteLeaves, At: time.Now(), Trunk: "sbc", ELIN: a.ELIN, Address: "1 Main Street, Springfield"})
				took = append(took, time.Since(began))
				box.emergencyStep(b2bua.EmergencyEvent{Call: id, Kind: b2bua.CallEnded, At: time.Now()})
				box.pinned.table.Ended(time.Now(), id)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
