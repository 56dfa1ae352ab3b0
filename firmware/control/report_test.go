package control

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"holdfast/firmware/report"
)

func (f *fake) Reports() ([]report.Summary, error) {
	_, err := f.note("reports")
	return []report.Summary{{ID: "r1", Kind: report.Outage, Began: epoch, Ended: epoch, Expected: 5, Came: 4, Calls: 3, Missed: 2, Emergencies: 1}}, err
}

func (f *fake) Report(id string) (*report.Report, error) {
	_, err := f.note("report " + id)
	return &report.Report{ID: "r1", ToDo: []string{"x"}, Phones: report.Phones{Came: 4}}, err
}

func TestReports(t *testing.T) {
	f := new(fake)
	c, _ := serve(t, t.TempDir(), f)
	list, err := c.Reports(t.Context())
	if want, _ := new(fake).Reports(); err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("%+v %v", list, err)
	}
	one, err := c.Report(t.Context(), "a&b")
	if want, _ := new(fake).Report(""); err != nil || !reflect.DeepEqual(one, want) {
		t.Errorf("%+v %v", one, err)
	}
	if asked := strings.Join(f.asked, "; "); asked != "reports; report a&b" {
		t.Error(asked)
	}
	f.err = errors.New("no such report")
	if _, err := c.Report(t.Context(), ""); err == nil || err.Error() != "no such report" {
		t.Error(err)
	}
}
