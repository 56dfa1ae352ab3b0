package bootfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A card that is full of what people have put on it takes no text either. So there is a file that holds room for it: it is given up for the
// text, and filled again when the text is gone.
const (
	roomName = "state/room"
	roomSize = 16 << 10 // bytes
	mostText = roomSize - 4<<10
)

// fullSays stands above the mistakes where the room was needed.
const fullSays = "The boot partition of the card is full: delete from it what is not the box's.\n\n"

// makeRoom gives the room up; a card from before there was one has none.
func makeRoom(dir string) error {
	if err := os.Truncate(filepath.Join(dir, roomName), 0); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// keepRoom fills it, where it is not; the error says that there is no room for it.
func keepRoom(dir string) error {
	name := filepath.Join(dir, roomName)
	if i, err := os.Stat(name); err == nil && i.Size() == roomSize {
		return nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a folder without state: no card of the box's
	}
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, roomSize))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Truncate(name, 0))
	}
	return nil
}
