package signaling

import "time"

// backoff is how long to wait before try number attempt, counted from 0: twice
// as long each time, from 0.25 s to 15 s, spread by rnd in [0, 1) over half of
// it so that those who lost a server together do not come back together.
func backoff(attempt int, rnd float64) time.Duration {
	const most = 15 * time.Second
	d := most
	if attempt < 5 {
		d = min(most, 500*time.Millisecond<<attempt)
	}
	return d/2 + time.Duration(rnd*float64(d/2))
}
