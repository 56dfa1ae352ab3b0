package route

import "holdfast/sip/site"

// feature reads the site's feature codes. They are for users: a device without one has no calls to park.
func (c *call) feature(dialled string) (Decision, bool) {
	f, rest := c.site.Feature(dialled)
	from := c.query.From.User
	if f == site.NoFeature || from == nil {
		return Decision{}, false
	}
	d := c.start()
	switch f {
	case site.PickupFeature:
		u, _, err := c.site.Resolve(rest)
		if err != nil || u == nil {
			return c.reject(404, "Not Found"), true
		}
		d.Kind, d.User = Pickup, u
	case site.ParkFeature:
		d.Kind, d.Number = Park, rest
		if rest == "" {
			d.Number = from.Extension
		}
	}
	return d, true
}
