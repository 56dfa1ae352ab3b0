package elin

import (
	"fmt"
	"testing"
	"time"
)

// A site with n callers on ten ELINs: what an emergency call waits for before its INVITE leaves.
func BenchmarkPinAndExport(b *testing.B) {
	for _, n := range []int{10, 1000, DefaultMax - 1} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tab := New(Options{})
			at := floor()
			for i := range 10 {
				at.ELINs = append(at.ELINs, fmt.Sprint("+1217555900", i))
			}
			for i := range n {
				tab.Pin(start.Add(time.Duration(i)), at, phone(fmt.Sprint("u", i), fmt.Sprint(i)))
			}
			now := start.Add(time.Minute)
			b.Run("pin", func(b *testing.B) {
				for b.Loop() {
					tab.Pin(now, at, phone("late", "late"))
					tab.Ended(now, "late")
				}
			})
			b.Run("callback", func(b *testing.B) {
				for b.Loop() {
					tab.Callback(now, at.ELINs[0])
				}
			})
			b.Run("export", func(b *testing.B) {
				for b.Loop() {
					b.SetBytes(int64(len(tab.Export(now))))
				}
			})
		})
	}
}
