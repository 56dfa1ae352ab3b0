package control

import (
	"context"
	"net/http"

	"holdfast/firmware/ports"
)

// Ports is what the daemon can be asked about its network.
type Ports interface {
	// Ports is every flow of the running box.
	Ports() []ports.Flow
}

func handlePorts(mux *http.ServeMux, b Ports) {
	mux.HandleFunc("GET /ports", func(w http.ResponseWriter, _ *http.Request) { reply(w, b.Ports(), nil) })
}

// Ports asks what the box sends and takes on the network.
func (c *Client) Ports(ctx context.Context) ([]ports.Flow, error) {
	var list []ports.Flow
	err := c.call(ctx, http.MethodGet, "/ports", nil, &list)
	return list, err
}
