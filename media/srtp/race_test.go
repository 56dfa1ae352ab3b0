//go:build race

package srtp

// racing: the race detector's instrumentation makes crypto/sha1 allocate where it saves its state, which the product never does.
const racing = true
