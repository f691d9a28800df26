package main

import "testing"

func TestDoctorReadsWhoListens(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0
   2: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0
   3: short`
	for port, want := range map[int]string{8080: "222", 80: "333", 81: ""} {
		if got := listenerInode(table, port); got != want {
			t.Errorf("port %d: %q, want %q", port, got, want)
		}
	}
}
