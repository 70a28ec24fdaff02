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
respond(_Path) ->
    {404, json(#{error => "no such page"})}.

sick() ->
    false.

%% Flat objects with keys of plain letters and values that need no escaping: all this app says.
json(Map) ->
    Members = [["\"", atom_to_list(Key), "\":", value(Value)] || {Key, Value} <- maps:to_list(Map)],
    ["{", lists:join(",", Members), "}\n"].

value(Value) when is_boolean(Value) -> atom_to_list(Value);
value(Value) when is_integer(Value) -> integer_to_list(Value);
value(Value) -> ["\"", Value, "\""].
