package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// With required in this variable, it is a failure if there is no browser.
const browserVariable = "CHAT_TEST_BROWSER"

// findBrowser returns the path of a browser. If there is none, the test is skipped.
func findBrowser(t *testing.T) string {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing := fmt.Sprintf("no browser: none of %s is installed", strings.Join(names, ", "))
	if os.Getenv(browserVariable) == "required" {
		require.Fail(t, missing)
	}
	t.Skip(missing)
	return ""
}

// startBrowser starts a browser. Each context made of that which is returned, by
// chromedp.NewContext, is a tab.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(findBrowser(t)),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("headless", "new"),
		chromedp.NoSandbox, // which root has not, as in a container
		chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(generous),
	)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*generous)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx))
	t.Cleanup(func() { assert.NoError(t, chromedp.Cancel(ctx)) }) // it waits until the browser has ended
	return ctx
}

// tab is a page of the chat in a browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// openTab opens the page, as somebody with that name. The test fails if there is an
// exception in the page, or if it breaks the policy.
func openTab(t *testing.T, browser context.Context, url, name string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			assert.Fail(t, "an exception in the page", "%s: %+v", name, e.ExceptionDetails)
		case *log.EventEntryAdded:
			assert.NotEqual(t, log.EntrySourceSecurity, e.Entry.Source, "%s: %s", name, e.Entry.Text)
		}
	}))
	b := &tab{t: t, ctx: ctx}
	b.do(chromedp.Navigate(url))
	b.join(name)
	return b
}

// do does something in the page.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

// join types a name, and joins.
func (b *tab) join(name string) {
	b.t.Helper()
	require.True(b.t, b.is(`(document.getElementById("name").value = "") === ""`))
	b.do(chromedp.SendKeys(chromedp.CSS("#name"), name), chromedp.Click(chromedp.CSS("#join button")))
}

// say types a message, and sends it.
func (b *tab) say(text string) {
	b.t.Helper()
	b.do(chromedp.WaitEnabled(chromedp.CSS("#text")), chromedp.SendKeys(chromedp.CSS("#text"), text), chromedp.Click(chromedp.CSS("#say button")))
}

// is reports whether an expression is true in the page.
func (b *tab) is(expression string) bool {
	b.t.Helper()
	so, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression))
	require.NoError(b.t, err, expression)
	return so
}

// sees waits until an expression is true in the page. It does not use
// chromedp.Poll: that calls eval in the page, which the policy forbids.
func (b *tab) sees(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(generous); !b.is(expression); {
		if time.Now().After(deadline) {
			body, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
			require.Fail(b.t, "the page does not come to that", "%s\n%s", expression, body)
		}
	}
}

// line returns an expression that is true if the text is that of a line of that
// kind, but for the time.
func line(kind, text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`[...document.querySelectorAll("#log li.%s")].some((li) =>
		[...li.children].filter((part) => part.tagName !== "TIME").map((part) => part.textContent).join(" ") === %s)`, kind, quoted)
}

func TestPage_inABrowser(t *testing.T) {
	browser := startBrowser(t)
	r := startRoom(t, nil)
	before := r.visit(t, "Zoë")
	before.mustSay("Is anybody here?")
	before.mustUntil("Is anybody here?")

	ann := openTab(t, browser, r.url, "Ann")
	ann.sees(line("message", "Zoë Is anybody here?"))
	ann.sees(line("joined", "Ann has joined"))
	ann.say("I am")
	ann.sees(line("message", "Ann I am"))
	assert.True(t, ann.is(`document.getElementById("text").value === ""`))

	const markup = `<img src="x" onerror="document.title = 'broken'"><script>document.title = 'broken'</script>`
	bob := openTab(t, browser, r.url, "<b>Bob</b>")
	bob.sees(line("message", "Zoë Is anybody here?"))
	bob.sees(line("message", "Ann I am"))
	bob.say(markup)
	for _, b := range []*tab{ann, bob} {
		b.sees(line("joined", "<b>Bob</b> has joined"))
		b.sees(line("message", "<b>Bob</b> "+markup))
		assert.True(t, b.is(`document.querySelectorAll("#log :is(img, script, b b)").length === 0`))
		assert.True(t, b.is(`document.title === "Chat"`))
		b.sees(`document.getElementById("clients").textContent === "3"`)
		b.sees(`Number(document.getElementById("goroutines").textContent) > 9`)
	}
	ann.sees(`document.querySelector("#log li time").textContent.length > 3`)

	bob.say(" ") // which only the server refuses
	bob.sees(line("error", "want a text of 1 to 1000 characters"))
	assert.False(t, ann.is(`document.querySelector("#log .error") !== null`))

	before.conn.CloseNow()
	ann.sees(line("left", "Zoë has left"))
}

// The page tells when it has missed something, and when the server has gone, and
// comes back by itself.
func TestPage_inABrowserThroughTrouble(t *testing.T) {
	browser := startBrowser(t)
	r := startRoom(t, func(c *config) { c.queue, c.history = 2, 1 })
	ann := openTab(t, browser, r.url, "Ann")
	ann.sees(`document.getElementById("state").textContent === "Connected as Ann."`)
	for range 1000 {
		for range 100 {
			r.tell(t.Context(), kindMessage, "Bob", "quick")
		}
		if ann.is(`/You missed [0-9]+ messages?\./.test(document.getElementById("log").textContent)`) {
			break
		}
	}
	ann.sees(`/You missed [0-9]+ messages?\./.test(document.querySelector("#log li.missed").textContent)`)
	assert.True(t, ann.is(`document.querySelectorAll("#log li").length <= 500`))

	r.stop()
	require.NoError(t, <-r.served)
	ann.sees(`document.getElementById("state").textContent.startsWith("Not connected")`)
	assert.True(t, ann.is(`document.getElementById("text").disabled`))

	listener, err := net.Listen("tcp", strings.TrimSuffix(strings.TrimPrefix(r.url, "http://"), "/"))
	require.NoError(t, err)
	again := serveRoom(t, listener, r.dial, nil)
	ann.say("Here I am again")
	ann.sees(line("message", "Ann Here I am again"))
	assert.True(t, ann.is(`document.querySelectorAll("#log li").length === 2`), "and what was there before has gone")

	assert.True(t, ann.is(`(document.getElementById("name").value = "A\u200bnn") !== ""`)) // as typing leaves that out
	ann.do(chromedp.Click(chromedp.CSS("#join button")))
	ann.sees(`document.getElementById("state").textContent === "Not connected: want a name of 1 to 32 visible characters."`)
	eventually(t, func() bool { return again.places.InUse() == 0 }, "she has left, and is not let in again")
}
