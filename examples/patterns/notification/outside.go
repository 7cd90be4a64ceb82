package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// orders is a Shop.
type orders map[string]Order

var errNoOrder = errors.New("there is no such order")

func (s orders) Order(_ context.Context, id string) (Order, error) {
	o, ok := s[id]
	if !ok {
		return o, errNoOrder
	}
	return o, nil
}

// letters is a Mailer that counts how often it is asked. Some of its first answers are lost on the way.
type letters struct {
	sent        map[uuid.UUID]string
	asked, lost int
}

func (m *letters) Send(_ context.Context, key uuid.UUID, _, _ string) (string, error) {
	if m.asked++; m.sent[key] == "" {
		m.sent[key] = fmt.Sprint("L", len(m.sent)+1)
	}
	if m.asked <= m.lost {
		return "", errors.New("connection lost")
	}
	return m.sent[key], nil
}
