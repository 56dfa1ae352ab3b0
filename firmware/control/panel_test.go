package control

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"holdfast/hal"
)

var front = Panel{"gpio", "a fault", []Light{NewLight("power", hal.Double, "running"), NewLight("buzzer", hal.Off, "")}}

func (f *fake) Panel() Panel { return front }
func (f *fake) Press(_ context.Context, o PressOrder) (string, error) {
	b, _ := json.Marshal(o)
	return f.note("press " + string(b))
}

func TestPanel(t *testing.T) {
	f := new(fake)
	c, _ := serve(t, t.TempDir(), f)
	p, err := c.Panel(t.Context())
	if err != nil || !reflect.DeepEqual(p, front) || p.Lights[0].Shows() != hal.Double || p.Lights[1].Pattern != "off" {
		t.Errorf("%+v %v", p, err)
	}
	msg, err := c.Press(t.Context(), PressOrder{"mode", 5000})
	if want := `press {"button":"mode","hold_ms":5000}`; err != nil || msg != "did "+want {
		t.Errorf("%q %v", msg, err)
	}
	f.err = errors.New("there is no such button")
	if _, err := c.Press(t.Context(), PressOrder{}); err == nil || err.Error() != f.err.Error() {
		t.Error(err)
	}
}
