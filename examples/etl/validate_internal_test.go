package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValidate(t *testing.T) {
	got, err := validate(t.Context(), clean(record{
		ID: " A-1", Email: "Me@Example.com ", Amount: "12,5", Currency: "usd", Day: " 2026-01-31 ",
	}))
	require.NoError(t, err)
	assert.Equal(t, order{
		id: "A-1", email: "me@example.com", cents: 1250, currency: "USD", day: time.Date(2026, time.January, 31, 0, 0, 0, 0, time.UTC),
	}, got)
}

func TestValidate_reasons(t *testing.T) {
	well := record{ID: "A-1", Email: "me@example.com", Amount: "12.50", Currency: "USD", Day: "2026-01-31"}
	soon := time.Now().AddDate(0, 0, 3).Format(time.DateOnly)
	for name, test := range map[string]struct {
		change func(*record)
		want   string // the reasons, one in a line
	}{
		"nothing":             {func(*record) {}, ""},
		"all missing":         {func(r *record) { *r = record{} }, "id: missing\nemail: missing\namount: missing\ncurrency: missing\nday: missing"},
		"long id":             {func(r *record) { r.ID = strings.Repeat("x", 65) }, "id: want up to 64 letters, digits and hyphens"},
		"id with a letter":    {func(r *record) { r.ID = "Ä" }, "id: want up to 64 letters, digits and hyphens"},
		"email with a name":   {func(r *record) { r.Email = "Me <me@example.com>" }, "email: not an address"},
		"two wrong":           {func(r *record) { r.Email, r.Day = "me", "today" }, "email: not an address\nday: want a date such as 2026-01-31"},
		"negative amount":     {func(r *record) { r.Amount = "-1" }, "amount: want a number with up to two decimals"},
		"amount of a point":   {func(r *record) { r.Amount = "1." }, "amount: want a number with up to two decimals"},
		"amount without one":  {func(r *record) { r.Amount = ".5" }, "amount: want a number with up to two decimals"},
		"three decimals":      {func(r *record) { r.Amount = "1.234" }, "amount: want a number with up to two decimals"},
		"two points":          {func(r *record) { r.Amount = "1.2.3" }, "amount: want a number with up to two decimals"},
		"largest amount":      {func(r *record) { r.Amount = "92233720368547758.07" }, ""},
		"too large":           {func(r *record) { r.Amount = "92233720368547758.08" }, "amount: too large"},
		"nothing to pay":      {func(r *record) { r.Amount = "0" }, "amount: zero"},
		"currency of letters": {func(r *record) { r.Currency = "EURO" }, "currency: want three letters"},
		"currency of digits":  {func(r *record) { r.Currency = "E1R" }, "currency: want three letters"},
		"no such day":         {func(r *record) { r.Day = "2026-02-30" }, "day: want a date such as 2026-01-31"},
		"not yet":             {func(r *record) { r.Day = soon }, "day: in the future"},
	} {
		t.Run(name, func(t *testing.T) {
			r := well
			test.change(&r)
			_, err := validate(t.Context(), r)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, test.want)
			reasons, texts := explain(err)
			assert.Equal(t, strings.Split(test.want, "\n"), reasons)
			assert.Equal(t, reasons, texts)
		})
	}
}

func TestValidate_unreadable(t *testing.T) {
	_, err := validate(t.Context(), record{unread: errors.New("on line 7")})
	require.EqualError(t, err, "on line 7")
	reasons, texts := explain(err)
	assert.Equal(t, []string{"unreadable"}, reasons)
	assert.Equal(t, []string{"on line 7"}, texts)
}

func TestValidate_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := validate(ctx, record{})
	require.ErrorIs(t, err, context.Canceled)
}
