package main

import (
	"context"
	"database/sql"
	"errors"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/seed4886185c/concert/gather"
)

// order is a record whose fields are what they should be.
type order struct {
	id       string
	email    string
	cents    int64 // of the currency
	currency string
	day      time.Time
	rate     sql.Null[float64] // euros for one of the currency
	segment  sql.Null[string]  // of the customer
}

// clean makes a record look as it was meant.
func clean(r record) record {
	r.ID = strings.TrimSpace(r.ID)
	r.Email = strings.ToLower(strings.TrimSpace(r.Email))
	r.Amount = strings.ReplaceAll(strings.TrimSpace(r.Amount), ",", ".")
	r.Currency = strings.ToUpper(strings.TrimSpace(r.Currency))
	r.Day = strings.TrimSpace(r.Day)
	return r
}

// validate makes an order of a record. It checks all fields at once, so that the
// error tells all that is wrong: it has a fieldError for each.
//
// These checks are quick, and would cost less one after the other; those that ask
// a database, or a name server, would not.
func validate(ctx context.Context, r record) (order, error) {
	if r.unread != nil {
		return order{}, r.unread
	}
	id, email, cents, currency, day := gather.All5(ctx,
		check("id", r.ID, parseID),
		check("email", r.Email, parseEmail),
		check("amount", r.Amount, parseAmount),
		check("currency", r.Currency, parseCurrency),
		check("day", r.Day, parseDay),
		gather.Repanic())
	return order{id: id.Value, email: email.Value, cents: cents.Value, currency: currency.Value, day: day.Value},
		errors.Join(id.Err, email.Err, cents.Err, currency.Err, day.Err)
}

// fieldError tells what is wrong with a field.
type fieldError struct {
	field  string
	reason error
}

// Error tells the field and the reason.
func (e fieldError) Error() string { return e.field + ": " + e.reason.Error() }

// check returns a task that parses a field.
func check[T any](field, text string, parse func(string) (T, error)) gather.Task[T] {
	return func(context.Context) (T, error) {
		if text == "" {
			var none T
			return none, fieldError{field, errors.New("missing")}
		}
		v, err := parse(text)
		if err != nil {
			return v, fieldError{field, err}
		}
		return v, nil
	}
}

func parseID(s string) (string, error) {
	if len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return !isUpper(r) && !isLower(r) && !isDigit(r) && r != '-' }) {
		return "", errors.New("want up to 64 letters, digits and hyphens")
	}
	return s, nil
}

func parseEmail(s string) (string, error) {
	if address, err := mail.ParseAddress(s); err != nil || address.Address != s {
		return "", errors.New("not an address")
	}
	return s, nil
}

// parseAmount returns the amount in hundredths.
func parseAmount(s string) (int64, error) {
	whole, part, found := strings.Cut(s, ".")
	if whole == "" || len(part) > 2 || found && part == "" {
		return 0, errors.New("want a number with up to two decimals")
	}
	cents, err := strconv.ParseUint(whole+part+"00"[len(part):], 10, 63)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errors.New("too large")
	case err != nil:
		return 0, errors.New("want a number with up to two decimals")
	case cents == 0:
		return 0, errors.New("zero")
	}
	return int64(cents), nil
}

func parseCurrency(s string) (string, error) {
	if len(s) != 3 || strings.ContainsFunc(s, func(r rune) bool { return !isUpper(r) }) {
		return "", errors.New("want three letters")
	}
	return s, nil
}

func parseDay(s string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, s)
	switch {
	case err != nil:
		return day, errors.New("want a date such as 2026-01-31")
	case day.After(time.Now().AddDate(0, 0, 1)): // wherever it is that day already
		return day, errors.New("in the future")
	}
	return day, nil
}

func isUpper(r rune) bool { return 'A' <= r && r <= 'Z' }

func isLower(r rune) bool { return 'a' <= r && r <= 'z' }

func isDigit(r rune) bool { return '0' <= r && r <= '9' }
