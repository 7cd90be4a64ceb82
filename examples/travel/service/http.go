package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/google/uuid"
)

// keyHeader is where the key of a call is, as in the draft of the IETF about The Idempotency-Key HTTP Header Field.
const keyHeader = "Idempotency-Key"

// most is how long a body may be.
const most = 64 << 10

type (
	orderBody struct {
		Wants string `json:"wants"`
	}
	refusalBody struct {
		Refused string `json:"refused"`
	}
)

// Handler serves a Desk: PUT, DELETE and GET of /orders/TRIP. 409 is a no; from 500 on nobody knows.
func Handler(d *Desk) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /orders/{trip}", keyed(func(r *http.Request, key uuid.UUID) (any, error) {
		var body orderBody
		if err := json.NewDecoder(io.LimitReader(r.Body, most)).Decode(&body); err != nil {
			return nil, &wrongError{err}
		}
		reference, err := d.Order(r.Context(), r.PathValue("trip"), body.Wants, key)
		return Booking{Reference: reference}, err
	}))
	mux.HandleFunc("DELETE /orders/{trip}", keyed(func(r *http.Request, key uuid.UUID) (any, error) {
		return Booking{}, d.Cancel(r.Context(), r.PathValue("trip"), key)
	}))
	mux.HandleFunc("GET /orders/{trip}", func(w http.ResponseWriter, r *http.Request) {
		held, err := d.Held(r.Context(), r.PathValue("trip"))
		answer(w, held, err)
	})
	return mux
}

// wrongError is a call that can never be answered otherwise.
type wrongError struct{ error }

// keyed serves calls that have a key.
func keyed(serve func(r *http.Request, key uuid.UUID) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key, err := uuid.Parse(r.Header.Get(keyHeader))
		if err == nil && key == uuid.Nil {
			err = errors.New("is that of everybody")
		}
		if err != nil {
			answer(w, nil, &wrongError{fmt.Errorf("%s: %w", keyHeader, err)})
			return
		}
		body, err := serve(r, key)
		answer(w, body, err)
	}
}

func answer(w http.ResponseWriter, body any, err error) {
	status := http.StatusOK
	if err != nil {
		status, body = http.StatusServiceUnavailable, refusalBody{err.Error()}
		if _, wrong := errors.AsType[*wrongError](err); wrong {
			status = http.StatusBadRequest
		}
		if _, no := errors.AsType[*noError](err); no {
			status = http.StatusConflict
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever does not hear the answer calls again
}

// Client calls a service by HTTP. It is safe for concurrent use.
type Client struct {
	url  string
	http *http.Client
}

// NewClient makes a client of the service at a URL.
func NewClient(url string, client *http.Client) *Client { return &Client{url, client} }

// Order implements trip.Service.
func (c *Client) Order(ctx context.Context, trip, wants string, key uuid.UUID) (string, error) {
	held, err := c.call(ctx, http.MethodPut, trip, key, orderBody{wants})
	return held.Reference, err
}

// Cancel implements trip.Service.
func (c *Client) Cancel(ctx context.Context, trip string, key uuid.UUID) error {
	_, err := c.call(ctx, http.MethodDelete, trip, key, nil)
	return err
}

// Held implements Service.
func (c *Client) Held(ctx context.Context, trip string) (Booking, error) {
	return c.call(ctx, http.MethodGet, trip, uuid.Nil, nil)
}

// call tells a no from what nobody knows: a connection that breaks, an answer that does not come, and one that is not from the
// service, are all of the second kind.
func (c *Client) call(ctx context.Context, method, trip string, key uuid.UUID, body any) (held Booking, err error) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return held, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url+"/orders/"+url.PathEscape(trip), &content)
	if err != nil {
		return held, err
	}
	if key != uuid.Nil {
		r.Header.Set(keyHeader, key.String())
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return held, err
	}
	defer answer.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(io.LimitReader(answer.Body, most))
	switch {
	case err != nil:
		return held, err
	case answer.StatusCode == http.StatusOK:
		err = json.Unmarshal(text, &held)
		return held, err
	}
	var refusal refusalBody
	if err := json.Unmarshal(text, &refusal); err != nil {
		return held, fmt.Errorf("%s %s: %s", method, r.URL.Path, answer.Status)
	}
	if err = errors.New(refusal.Refused); answer.StatusCode == http.StatusConflict {
		err = no(err)
	}
	return held, err
}
