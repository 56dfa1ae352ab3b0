// Package browser proves the admin page in a real browser: headless Chromium looks at the real box while the lab's branch
// loses its cloud. It has tests only, which need Chromium and the build tag browser: make admin-test.
package browser
