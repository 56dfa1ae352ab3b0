package main

import (
	"bytes"
	"fmt"
	"os/exec"

	"holdfast/media/prompt"
)

// rate of what is made here, in Hz. Opus takes it as it is, the others the half.
const rate = 16000

// spoken are the announcements' texts. The first one is heard again and again until it is acknowledged.
var spoken = []struct{ name, text string }{
	{prompt.EmergencyNotice, "Attention. An emergency call has been made from this site. Press 1 to acknowledge."},
	{prompt.AllTrunksDead, "No outside line is available. Your call could not be placed. Try a mobile phone."},
	{prompt.NotInService, "The number you have dialed is not in service."},
	{prompt.NobodyThere, "This number calls back an emergency caller. Neither the caller nor the security desk can be reached."},
}

// standard makes the set that comes with the program.
func standard(speaker string) ([]piece, error) {
	pieces := []piece{
		{name: prompt.Silence, sound: silence(rate, 0.1), loop: true},
		{name: prompt.RingBack, sound: ringBack(), loop: true},
		{name: prompt.HoldMusic, sound: music(), loop: true, music: true},
	}
	for _, s := range spoken {
		voice, err := speak(speaker, s.text)
		if err != nil {
			return nil, err
		}
		if s.name == prompt.NotInService {
			voice = information().then(silence(rate, 0.2), voice)
		}
		pieces = append(pieces, piece{name: s.name, sound: silence(rate, 0.1).then(voice, silence(rate, 0.6))})
	}
	return pieces, nil
}

// speak has a text spoken.
func speak(speaker, text string) (sound, error) {
	cmd := exec.Command(speaker, "-v", "en-us", "-s", "165", "--stdout", text)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	b, err := cmd.Output()
	if err != nil {
		return sound{}, fmt.Errorf("%s: %w %s", speaker, err, complaint.Bytes())
	}
	s, err := parseWAV(b)
	if err != nil {
		return sound{}, fmt.Errorf("%s: %w", speaker, err)
	}
	return s.trim().resample(rate, false).level(4), nil
}
