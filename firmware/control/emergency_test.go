package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/emergency"
)

var (
	pin = Pin{"sbc-a", "+12175559000", true, "Guest, 2204", "Room 204", true, epoch, true, epoch.Add(time.Hour)}
	log = emergency.Emergency{Facts: emergency.Facts{ID: "c1", At: epoch, Dialled: "9911", Number: "911", Caller: emergency.Caller{Name: "Guest"}}, Callbacks: 2,
		Acknowledged: &emergency.Acknowledgement{By: "Maria", How: emergency.ByKey, At: epoch}, Steps: []emergency.Step{{Seq: 1, At: epoch, Kind: emergency.Recognised}}}
)

func (f *fake) Acknowledge(o AckOrder) (string, error) {
	b, _ := json.Marshal(o)
	return f.note("ack " + string(b))
}
func (f *fake) Pins() []Pin { return []Pin{pin} }
func (f *fake) EmergencyLog(n int) ([]emergency.Emergency, error) {
	_, err := f.note(fmt.Sprint("log ", n))
	return []emergency.Emergency{log}, err
}
func (f *fake) EmergencyDrill(ctx context.Context, o EmergencyDrillOrder, step func(DrillStep)) error {
	b, _ := json.Marshal(o)
	step(DrillStep{Name: "recognised", OK: true, Detail: "933", At: epoch})
	_, err := f.note("drill " + string(b))
	if f.fetch != nil {
		f.fetch(ctx)
	}
	step(DrillStep{Name: "answered", OK: err == nil, At: epoch})
	return err
}

func TestEmergencies(t *testing.T) {
	f := new(fake)
	c, _ := serve(t, t.TempDir(), f)
	msg, err := c.Acknowledge(t.Context(), AckOrder{"Maria", emergency.ByCommand, "c1"})
	if want := `ack {"by":"Maria","how":"command","call":"c1"}`; err != nil || msg != "did "+want || f.asked[0] != want {
		t.Errorf("%q %v %q", msg, err, f.asked)
	}
	pins, err := c.Pins(t.Context())
	if err != nil || !reflect.DeepEqual(pins, []Pin{pin}) {
		t.Errorf("%+v %v", pins, err)
	}
	list, err := c.EmergencyLog(t.Context(), 7)
	if err != nil || len(list) != 1 || !reflect.DeepEqual(list[0], log) || f.asked[1] != "log 7" {
		t.Errorf("%+v %v", list, err)
	}
	for _, n := range []int{0, -1, mostLog + 1} {
		if _, err := c.EmergencyLog(t.Context(), n); err == nil || !strings.Contains(err.Error(), "n is not 1 to 1000") {
			t.Errorf("%d: %v", n, err)
		}
	}
	res, err := c.http.Post("http://holdfast/emergency/ack", "application/json", strings.NewReader("{"))
	if err != nil || res.StatusCode != http.StatusBadRequest {
		t.Errorf("%v %v", res, err)
	}
}

func TestEmergencyDrill(t *testing.T) {
	f := new(fake)
	c, stop := serve(t, t.TempDir(), f)
	drill := func() (steps []string, err error) {
		err = c.EmergencyDrill(t.Context(), EmergencyDrillOrder{User: "2204", Number: "933", By: "ann"}, func(s DrillStep) { steps = append(steps, fmt.Sprint(s.Name, s.OK)) })
		return steps, err
	}
	if steps, err := drill(); err != nil || !reflect.DeepEqual(steps, []string{"recognisedtrue", "answeredtrue"}) || f.asked[0] != `drill {"user":"2204","number":"933","by":"ann"}` {
		t.Errorf("%v %v %q", steps, err, f.asked)
	}
	f.err = errors.New("no notice was seen")
	if steps, err := drill(); err == nil || err.Error() != "no notice was seen" || len(steps) != 2 || steps[1] != "answeredfalse" {
		t.Errorf("%v %v", steps, err)
	}
	// The first step comes while the drill runs, and a box that goes down in the middle is no drill that passed.
	running := make(chan struct{})
	f.fetch = func(ctx context.Context) { close(running); <-ctx.Done(); time.Sleep(2 * time.Second) }
	go func() { <-running; stop() }()
	if steps, err := drill(); err == nil || len(steps) != 1 {
		t.Errorf("%v %v", steps, err)
	}
}
