package box

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/lab/memnet"
	"holdfast/firmware/lab/raw"
)

// TestARefusedCallIsForgotten: a phone that calls who is not there again and again costs no memory. In the bubble no time goes by that
// could run a timer out.
func TestARefusedCallIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, rigOptions{net: inMemory{&memnet.Net{}}, users: 2})
		stop := r.run()
		defer stop()
		inbox := make(chan event, 64)
		phone := r.newEnd(extension(0), netipFrom([4]byte{127, 0, 90, 1}), inbox)
		defer phone.drop()
		if err := phone.register(context.Background()); err != nil {
			t.Fatal(err)
		}
		const calls = 10
		began := time.Now()
		for range calls {
			d := raw.NewDialog(phone.conn(), "sip:"+phone.user+"@"+rigDomain, "sip:"+extension(1)+"@"+rigDomain)
			phone.write(d.Request("INVITE", stormSDP(phone, 1, "sendrecv", "0 101")))
			res, err := phone.await(context.Background(), d.CallID, d.Seq)
			if err != nil || res.Status() != 480 {
				t.Fatal(res, err)
			}
			phone.write(d.Ack(res, nil))
		}
		time.Sleep(time.Second)
		runtime.GC()
		for range 100 { // a goroutine that is stopped anywhere may hold what it has just used
			if r.remembered() > 0 {
				runtime.Gosched()
				runtime.GC()
			}
		}
		if n := r.remembered(); n > 0 {
			t.Errorf("%d of %d refused calls are remembered after %v", n, calls, time.Since(began))
		}
	})
}
