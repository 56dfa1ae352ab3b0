package b2bua

// Legs is the number of dialogs that requests can reach.
func (a *Agent) Legs() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.legs)
}
