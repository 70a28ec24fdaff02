%% The answers. The version is compiled in: it tells which code answers, whatever the application
%% environment claims.
-module(shop_routes).
-export([respond/1]).

-define(VERSION, "@VSN@").

respond(<<"/health">>) ->
    case sick() of
        false -> {200, json(#{healthy => true, version => ?VERSION, count => shop_counter:count()})};
        true -> {500, json(#{healthy => false, version => ?VERSION})}
    end;
respond(<<"/bump">>) ->
    #{boot := Boot} = shop_witness:testimony(),
    {200, json(#{count => shop_counter:bump(), version => ?VERSION, boot => Boot})};
respond(<<"/info">>) ->
    {ok, Greeting} = application:get_env(shop, greeting),
    {200, json((shop_witness:testimony())#{version => ?VERSION,
                                           count => shop_counter:count(),
                                           layout => shop_counter:layout(),
                                           greeting => Greeting})};
%% What tests do to the app, to see it noticed.
respond(<<"/freeze">>) ->
    ok = sys:suspend(shop_counter),
    {200, json(#{frozen => true})};
respond(<<"/thaw">>) ->
    ok = sys:resume(shop_counter),
    {200, json(#{frozen => false})};
respond(<<"/linger">>) ->
    spawn(fun() -> register(shop_lingering, self()), linger() end),
    {200, json(#{lingers => true})};
%% A request that is at work in this version of the module until it is woken by its name.
respond(<<"/slow/", Name/binary>>) ->
    true = register(binary_to_atom(Name), self()),
    sleep(),
    {200, json(#{version => ?VERSION})};
respond(<<"/wake/", Name/binary>>) ->
    binary_to_existing_atom(Name) ! wake,
    {200, json(#{woken => true})};
%% How many of these are at work.
respond(<<"/slow">>) ->
    {200, json(#{at_work => length([Pid || Pid <- processes(), is_slow(Pid)])})};
%% From now on a migration takes so long.
respond(<<"/drowsy/", Ms/binary>>) ->
    ok = shop_witness:drowse(binary_to_integer(Ms)),
    {200, json(#{drowsy => true})};
%% The counter answers nobody until it is told to.
respond(<<"/stall">>) ->
    Stalled = fun(State) -> receive unstall -> State end end,
    spawn(fun() -> sys:replace_state(shop_counter, Stalled, infinity) end),
    {200, json(#{stalls => true})};
respond(<<"/unstall">>) ->
    shop_counter ! unstall,
    {200, json(#{stalls => false})};
%% The module is loaded once more: whoever runs it runs old code.
respond(<<"/reload">>) ->
    {module, ?MODULE} = code:load_file(?MODULE),
    {200, json(#{reloaded => true})};
%% Somebody else traces the release handler, which is a new process whenever it reads its book again.
respond(<<"/trace">>) ->
    spawn(fun() -> erlang:trace(new, true, [call]), timer:sleep(infinity) end),
    {200, json(#{traces => true})};
%% There is no release handler any more.
respond(<<"/unhand">>) ->
    ok = application:stop(sasl),
    {200, json(#{unhanded => true})};
respond(<<"/forget">>) ->
    ok = application:unset_env(shop, greeting),
    {200, json(#{greeting => <<>>})};
respond(<<"/relapse">>) ->
    ok = application:set_env(shop, greeting, "hello from 0.1.0"),
    {200, json(#{greeting => <<>>})};
respond(<<"/quit">>) ->
    spawn(fun() -> timer:sleep(50), application:stop(shop) end),
    {200, json(#{quits => true})};
respond(<<"/code">>) ->
    {200, json(shop_witness:code())};
respond(_Path) ->
    {404, json(#{error => "no such page"})}.

%% Called by the code that answers, which is on the stack meanwhile.
sleep() ->
    receive wake -> ok end.

is_slow(Pid) ->
    process_info(Pid, current_function) =:= {current_function, {?MODULE, sleep, 0}}.

%% Stays in this version of the module until it is told to end.
linger() ->
    receive stop -> ok end.

sick() ->
    false.

%% Flat objects with keys of plain letters and values that need no escaping: all this app says.
json(Map) ->
    Members = [["\"", atom_to_list(Key), "\":", value(Value)] || {Key, Value} <- maps:to_list(Map)],
    ["{", lists:join(",", Members), "}\n"].

value(Value) when is_boolean(Value) -> atom_to_list(Value);
value(Value) when is_integer(Value) -> integer_to_list(Value);
value(Value) -> ["\"", Value, "\""].
