package signaling

import (
	"slices"
	"time"
)

// cameraAwayFor is how long a player's session outlives its camera's socket.
const cameraAwayFor = claimFor

// follow keeps a player to its camera. Media need no signaling, so a camera that
// loses its socket still sends, and comes back under another id: one that speaks of
// the session is it, and until one does a camera of the same name may be.
type follow struct {
	cameras []Camera // in the room, as they came
	camera  Camera   // the player's; its ID is "" before there is one
	away    *time.Timer
}

// joined takes note of a camera in the room.
func (f *follow) joined(c Camera) {
	f.cameras = append(f.cameras, c)
	if f.camera.ID == "" || f.away != nil && c.Name == f.camera.Name {
		f.camera = c
	}
}

// left takes note that a camera's socket is gone. If it was the player's, giveUp is
// called unless something is heard of it in time.
func (f *follow) left(c Camera, giveUp func()) {
	f.cameras = slices.DeleteFunc(f.cameras, func(have Camera) bool { return have.ID == c.ID })
	if c.ID != f.camera.ID {
		return
	}
	if f.away == nil {
		f.away = time.AfterFunc(cameraAwayFor, giveUp)
	}
	for _, have := range f.cameras {
		if have.Name == f.camera.Name {
			f.camera = have
		}
	}
}

// heard takes note that the camera with that id has spoken of the session.
func (f *follow) heard(id string) {
	f.stop()
	f.camera.ID = id
	for _, have := range f.cameras {
		if have.ID == id {
			f.camera = have
		}
	}
}

func (f *follow) stop() {
	if f.away != nil {
		f.away.Stop()
		f.away = nil
	}
}
