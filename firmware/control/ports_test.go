package control

import (
	"testing"

	"holdfast/firmware/ports"
)

func (f *fake) Ports() []ports.Flow { return []ports.Flow{{ID: "phones.sip", Ports: "5061"}} }

func TestPorts(t *testing.T) {
	c, _ := serve(t, t.TempDir(), &fake{})
	list, err := c.Ports(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != "phones.sip" || list[0].Ports != "5061" {
		t.Errorf("%+v %v", list, err)
	}
}
