package b2bua

import (
	"errors"

	"holdfast/sip/sdp"
)

// sdpRefusal is the status that a bad description means.
func sdpRefusal(err error) refusal {
	switch {
	case errors.Is(err, sdp.ErrIPv6):
		return refusal{status: 488, reason: "IPv6 Not Supported"}
	case errors.Is(err, sdp.ErrNoAudio):
		return refusal{status: 488, reason: "No Audio Stream"}
	default:
		return refusal{status: 400, reason: "Bad Session Description"}
	}
}

// reason is the box's own phrase for a status that came from the other side: the phrase itself is not passed on.
func reason(status int) string {
	if r, ok := phrases[status]; ok {
		return r
	}
	switch {
	case status >= 600:
		return "Global Failure"
	case status >= 500:
		return "Server Failure"
	case status >= 400:
		return "Request Failure"
	}
	return "Redirected"
}

// phrases of RFC 3261 §21 and its extensions.
var phrases = map[int]string{
	400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
	407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone", 413: "Request Entity Too Large", 415: "Unsupported Media Type",
	416: "Unsupported URI Scheme", 420: "Bad Extension", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
	482: "Loop Detected", 483: "Too Many Hops", 484: "Address Incomplete", 486: "Busy Here", 487: "Request Terminated",
	488: "Not Acceptable Here", 491: "Request Pending", 500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway",
	503: "Service Unavailable", 504: "Server Time-out", 600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}
